"""The cache of activations on disk."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import re
import shutil
import socket
import time
import zlib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

import torch

from nlp_transfer.system.locking import Lock

log = logging.getLogger(__name__)

_FORMAT = 1  # raised when the content of a cache comes to mean something else
_BLOCK = 1 << 24  # bytes read at a time
_HALF_WRITTEN, _FILLING = ".incomplete-", ".filling-"
_STATES, _META = "states.bin", "meta.json"
_NAME = re.compile(r"[0-9a-f]{32}")  # of a key
_SHARE_OF_DISK = 0.1
_WORTH_LOGGING = 10**8  # bytes
_ABANDONED_AFTER = 24 * 3600.0  # seconds


@dataclass(frozen=True)
class Key:
    """All that the activations of frozen layers depend on: the hidden states that enter layer `depth`, for some rows.

    `weights` and `tokens` are hashes, `shape` is `(tokens or rows, width)`, `precision` that of the computation and
    `dtype` that of the cached states.
    """

    weights: str
    tokens: str
    family: str
    depth: int
    reading: str
    precision: str
    dtype: str
    shape: tuple[int, int]
    versions: str
    format: int = _FORMAT

    @property
    def name(self) -> str:
        """The name of its folder in the store."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:32]

    @property
    def bytes(self) -> int:
        """The size of its file."""
        return self.shape[0] * self.shape[1] * getattr(torch, self.dtype).itemsize


class Store:
    """A folder with a folder for each key: a file of hidden states, and a file that describes them.

    Both are written under a hidden name first, so that what is not hidden is complete; a checksum shows later damage.
    `gigabytes` bounds the store; without it a tenth of the free disk does. Methods that return whether they succeeded
    log why where they did not.
    """

    def __init__(self, folder: str | Path | None = None, gigabytes: float | None = None) -> None:
        self.folder = cache_folder(folder)
        self.gigabytes = gigabytes
        self._hidden: list[Path] = []
        self._logged: set[str] = set()

    def holds(self, key: Key) -> bool:
        """Whether the states of `key` are cached and undamaged; they are then marked as used now."""
        folder = self.folder / key.name
        if self.gigabytes == 0:
            return False
        try:
            meta = json.loads((folder / _META).read_text(encoding="utf-8"))
            is_sound = self.states_of(key).stat().st_size == key.bytes and _crc32(self.states_of(key)) == meta["crc32"]
            if is_sound:
                with contextlib.suppress(OSError):  # a folder that may only be read
                    os.utime(folder)
                return True
        except (FileNotFoundError, NotADirectoryError):
            if not folder.exists():
                return False
        except (OSError, ValueError, KeyError, TypeError):
            pass
        log.info("The cache folder %s is damaged; its activations are computed again.", folder)
        return False

    def states_of(self, key: Key) -> Path:
        """The file with the states of `key`."""
        return self.folder / key.name / _STATES

    def make_room(self, keys: Sequence[Key], in_use: Collection[Path] = ()) -> bool:
        """Whether there is room for `keys` too; least recently used entries are removed, but for files `in_use`."""
        need = sum(key.bytes for key in keys)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            _remove_abandoned(self.folder)
            free = shutil.disk_usage(self.folder).free
            entries = entries_of(self.folder)
        except OSError as error:
            return self._cannot(f"cannot use the cache folder {self.folder}: {error.strerror}")
        removable = [entry for entry in entries if entry.path / _STATES not in in_use]
        used = sum(entry.bytes for entry in entries)
        fixed = used - sum(entry.bytes for entry in removable)
        allowed = _SHARE_OF_DISK * (free + used) if self.gigabytes is None else self.gigabytes * 1e9
        if need + fixed > min(allowed, free + used):
            return self._cannot(
                f"they take {need / 1e9:.3g} GB, and --cache_gb allows {max(allowed - fixed, 0) / 1e9:.3g}"
                if need + fixed > allowed
                else f"they take {need / 1e9:.3g} GB, and the disk of {self.folder} has {free / 1e9:.3g} free"
            )
        for entry in removable:
            if used + need <= allowed and free >= need:
                break
            shutil.rmtree(entry.path, ignore_errors=True)
            used, free = used - entry.bytes, free + entry.bytes
        if need >= _WORTH_LOGGING:
            log.info("Activations of frozen layers will take %.3g GB in %s.", need / 1e9, self.folder)
        return True

    def half_written(self, key: Key, number: str) -> Path:
        """The file that run `number` fills for `key` on this machine."""
        return self.folder / f"{_HALF_WRITTEN}{number}-{socket.gethostname()}-{key.name}" / _STATES

    def allocate(self, keys: Sequence[Key], number: str) -> bool:
        """Make the files that a run fills, in their full size."""
        try:
            for key in keys:
                path = self.half_written(key, number)
                self._hidden.append(path.parent)
                path.parent.mkdir(parents=True)
                _allocate(path, key.bytes)
        except OSError as error:
            return self._cannot(f"cannot write to the cache folder {self.folder}: {error.strerror}")
        return True

    @contextlib.contextmanager
    def filling(self, keys: Sequence[Key]) -> Iterator[None]:
        """Inside, no other run of this machine fills any of `keys`; waits for the one that does.

        For keys that `make_room` has made room for.
        """
        with contextlib.ExitStack() as stack:
            for name in sorted(key.name for key in keys):  # one order for all, so that no two wait for each other
                busy = f"Another run computes these activations, into {self.folder}; waiting for it."
                lock = Lock(self.folder / f"{_FILLING}{socket.gethostname()}-{name}", busy)
                with contextlib.suppress(OSError):  # without a lock two runs may fill it, and the quicker one commits
                    lock.wait()
                    stack.callback(lock.release, remove=True)
            yield

    def seconds_of(self, keys: Sequence[Key]) -> float:
        """How long it took to compute what is cached of `keys`; of several passes the longest, 0 where it is not known.

        One pass computes the states at several depths, and a deep one includes the shallow ones.
        """
        return max((self._seconds_of(key) for key in keys), default=0.0)

    def _seconds_of(self, key: Key) -> float:
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            return float(json.loads((self.folder / key.name / _META).read_text(encoding="utf-8"))["seconds"])
        return 0.0

    def commit(self, keys: Sequence[Key], number: str, seconds: float = 0.0) -> bool:
        """Rename what a run has filled, in so many seconds, to its key; what another run has committed stays."""
        are_committed = [self._commit(key, number, seconds) for key in keys]  # all of them, also where one fails
        return all(are_committed)

    def _commit(self, key: Key, number: str, seconds: float) -> bool:
        path = self.half_written(key, number)
        try:
            meta = asdict(key) | {"crc32": _crc32(path), "seconds": seconds}
            (path.parent / _META).write_text(json.dumps(meta, indent=1), encoding="utf-8")
            if (self.folder / key.name).exists() and not self.holds(key):
                shutil.rmtree(self.folder / key.name)
            if not (self.folder / key.name).exists():
                os.rename(path.parent, self.folder / key.name)
        except OSError as error:
            if not self.holds(key):  # else another run was quicker
                return self._cannot(f"cannot write to the cache folder {self.folder}: {error.strerror}")
        return True

    def clean_up(self) -> None:
        """Remove what was allocated and not committed."""
        for folder in self._hidden:
            shutil.rmtree(folder, ignore_errors=True)
        self._hidden = []

    def _cannot(self, why: str) -> bool:
        if why not in self._logged:
            log.info("Activations of frozen layers are computed for each batch, and not cached: %s.", why)
        self._logged.add(why)
        return False


def cache_folder(folder: str | Path | None = None) -> Path:
    """The folder of the cache: `folder`, $NLP_TRANSFER_CACHE, or `nlp_transfer` in the user's cache folder."""
    if folder or os.environ.get("NLP_TRANSFER_CACHE"):
        return Path(folder or os.environ["NLP_TRANSFER_CACHE"]).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "nlp_transfer" / "activations"


def _allocate(path: Path, size: int) -> None:
    """Make a file of `size` bytes: writing to a mapped file that the disk has no room for would crash the process."""
    with open(path, "wb") as file:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, max(size, 1))
        file.truncate(size)


def _crc32(path: Path) -> int:
    value = 0
    with open(path, "rb") as file:
        while block := file.read(_BLOCK):
            value = zlib.crc32(block, value)
    return value


class Entry(NamedTuple):
    """What is cached under one key: its folder, its size, when it was last used, and what it is."""

    path: Path
    bytes: int
    used_at: float
    description: str


def entries_of(folder: Path) -> list[Entry]:
    """All that is cached, damaged or not, the least recently used first.

    Without half-written folders, which may belong to a run that is still going.
    """
    entries = []
    for path in folder.iterdir() if folder.is_dir() else ():
        with contextlib.suppress(FileNotFoundError):  # another run has cleared it meanwhile
            if _NAME.fullmatch(path.name) and path.is_dir():
                size = sum(file.stat().st_size for file in path.iterdir())
                entries.append(Entry(path, size, path.stat().st_mtime, _description(path)))
    return sorted(entries, key=lambda entry: entry.used_at)


def clear(folder: Path) -> list[Entry]:
    """Delete all that is cached, and return what that was; also half-written files that a killed run has left."""
    entries = entries_of(folder)
    _remove_abandoned(folder)
    for entry in entries:
        shutil.rmtree(entry.path, ignore_errors=True)
    return entries


def _description(path: Path) -> str:
    try:
        meta = json.loads((path / _META).read_text(encoding="utf-8"))
        unit = "row" if meta["reading"] != "tokens" else "token"
        (path / _STATES).stat()
        return f"{meta['family']}, below layer {meta['depth']}, {meta['shape'][0]:,} {unit}s, {meta['dtype']}"
    except (OSError, ValueError, KeyError, TypeError, IndexError):
        return "damaged"


def _remove_abandoned(folder: Path) -> None:
    """Half-written files that nothing has been written to for a day: their run was killed."""
    for path in folder.glob(f"{_HALF_WRITTEN}*"):
        with contextlib.suppress(OSError):
            if time.time() - max(part.stat().st_mtime for part in (path, *path.iterdir())) > _ABANDONED_AFTER:
                shutil.rmtree(path, ignore_errors=True)
