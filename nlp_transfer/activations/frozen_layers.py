"""The frozen layers of a network, whose activations are computed once and cached on disk."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import logging
import os
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
import transformers
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list, gather_object
from torch import Tensor

from nlp_transfer.activations.activation_store import Key, Store
from nlp_transfer.activations.cached_inputs import CachedActivations, ComputedActivations, starts_of, token_places
from nlp_transfer.activations.truncation import Reading, TruncatedEncoder, can_be_truncated, reading, states_at
from nlp_transfer.config import CacheOptions
from nlp_transfer.data.batch import length_batches
from nlp_transfer.data.inputs import Inputs, TokenInputs
from nlp_transfer.encoders.encoder import Encoder
from nlp_transfer.encoders.precision import cast_once
from nlp_transfer.system.progress_bars import tqdm

log = logging.getLogger(__name__)

_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
_BATCH = 64  # rows that run through the frozen layers together


class FrozenLayers:
    """The frozen bottom layers of a network: their activations are computed once, and cached for the next run.

    >>> frozen = FrozenLayers(model.encoder, accelerator)
    >>> frozen.run([train, validation], depths=[4])  # TokenInputs
    >>> with frozen.truncated(4) as inputs_of:
    ...     inputs_of(train).batch([0, 1, 2])  # "inputs_embeds" in place of "input_ids"

    Cached are, for each token, the hidden states that enter layer `depth`; at the encoder's depth what the head reads
    of its output, which is one vector a row for most heads. Each set of rows and depth is a folder in the cache, named
    by the weights, the token ids, the depth and the dtype. Where the cache has no room for them the frozen layers run
    for each batch; a network that `TruncatedEncoder` cannot truncate is trained as it is. Either is logged.

    Cached activations were computed in batches of other shapes than those that train on them, and BLAS rounds by shape:
    losses are those of the complete network up to rounding (1e-6), and to the last bit where the shapes are the same.
    ConvBERT and MobileBERT attend to padding, so their states depend on the batch by more than that, here as in
    transformers.

    `seconds_spared` is how long it took other runs to compute the activations that this one found in the cache, less
    what it waited for them.

    Every process of a run makes the same calls; they share the work, and the files of their machine.
    """

    def __init__(self, encoder: Encoder, accelerator: Accelerator, options: CacheOptions | None = None) -> None:
        options = options or CacheOptions()
        self.encoder = encoder
        self.accelerator = accelerator
        self.store = Store(options.cache_dir, options.cache_gb)
        self.dtype = _dtype(options.cache_dtype, accelerator.mixed_precision)
        self.seconds_spared = 0.0
        self._cached: dict[tuple[TokenInputs, int], Tensor] = {}
        self._in_use: set[Path] = set()
        self._reading: Reading | None = None
        self._can_truncate: dict[int, bool] = {}

    @property
    def reading(self) -> Reading:
        """What the head reads of the encoder's output."""
        self._reading = self._reading or reading(self.encoder)
        return self._reading

    def run(self, inputs: Sequence[TokenInputs], depths: Sequence[int]) -> None:
        """Compute the activations of the layers below each of `depths` for `inputs`, where they are not cached yet."""
        for depth in depths:
            self.encoder.require_freezable(depth)
        depths = [depth for depth in depths if self._truncates_at(depth, inputs[0])]
        for rows in inputs:
            keys = [self._key(rows, depth) for depth in depths]
            was_in_use = {self.store.states_of(key) for key in keys} <= self._in_use
            missing = self._missing(rows, keys)
            if missing and self._agreed(lambda keys=missing: self.store.make_room(keys, self._in_use)):  # type: ignore[misc]
                start = time.perf_counter()
                # Runs of several processes do not wait for others: on several machines they could for each other.
                with contextlib.nullcontext() if self._is_shared else self.store.filling(missing):
                    self.seconds_spared -= time.perf_counter() - start
                    missing = self._missing(rows, missing)  # another run may have been quicker
                    if missing:
                        self._compute(rows, missing)
            if not missing and not was_in_use:
                self.seconds_spared += self.store.seconds_of(keys)

    @contextlib.contextmanager
    def truncated(self, depth: int) -> Iterator[Callable[[TokenInputs], Inputs]]:
        """Inside, the network starts at layer `depth`; yields a function that turns rows into its inputs.

        With `depth` 0, or where the network cannot be truncated there, it is left as it is, and takes token ids.
        """
        if not depth or not self._can_truncate.get(depth, True):
            yield lambda rows: rows
            return
        with TruncatedEncoder(self.encoder, depth) as truncated:
            yield lambda rows: self._inputs(rows, depth, truncated)

    def _inputs(self, rows: TokenInputs, depth: int, truncated: TruncatedEncoder) -> Inputs:
        cached = self._cached.get((rows, depth))
        if cached is None:
            return ComputedActivations(rows, truncated, lambda places: self._states(rows, [depth], places)[depth])
        return CachedActivations(rows, cached, self._by_token(depth))

    def _truncates_at(self, depth: int, rows: TokenInputs) -> bool:
        if depth not in self._can_truncate:
            lengths = rows.lengths[:64]
            places = [int(lengths.argmin()), int(lengths.argmax())]
            batch = {name: tensor.to(self._device) for name, tensor in rows.batch(places).items() if name != "labels"}
            read = self.reading if depth == self.encoder.depth else "tokens"
            self._can_truncate[depth] = can_be_truncated(self.encoder, depth, read, batch)
            if not self._can_truncate[depth]:
                log.info(
                    "%s cannot be truncated at layer %d: its frozen layers run in every step.",
                    self.encoder.family,
                    depth,
                )
        return self._can_truncate[depth]

    def _missing(self, rows: TokenInputs, keys: Sequence[Key]) -> list[Key]:
        """Those of `keys` that are not cached; the files of the others are opened."""
        missing = []
        for key in keys:
            if self._agreed(lambda key=key: self.store.holds(key)):  # type: ignore[misc]
                self._open(rows, key)
            else:
                missing.append(key)
        return missing

    def _open(self, rows: TokenInputs, key: Key) -> None:
        # Mapped at once: should another run make room in the cache, what is mapped stays.
        path = self.store.states_of(key)
        self._cached[rows, key.depth] = _mapped(path, key.shape, self.dtype, for_writing=False)
        self._in_use.add(path)

    def _compute(self, rows: TokenInputs, keys: Sequence[Key]) -> None:
        """Fill a file for each key; they are added to the cache once all processes are done."""
        start = time.perf_counter()
        with contextlib.ExitStack() as stack:
            if self.accelerator.is_local_main_process:
                stack.callback(self.store.clean_up)
            number = broadcast_object_list([uuid.uuid4().hex[:12]])[0] if self._is_shared else uuid.uuid4().hex[:12]
            if not self._agreed(lambda: self.store.allocate(keys, number)):
                return
            files = {key.depth: self.store.half_written(key, number) for key in keys}
            self._fill(rows, {k.depth: _mapped(files[k.depth], k.shape, self.dtype, for_writing=True) for k in keys})
            self.accelerator.wait_for_everyone()
            seconds = time.perf_counter() - start
            if self._agreed(lambda: self.store.commit(keys, number, seconds)):
                for key in keys:
                    self._open(rows, key)

    def _fill(self, rows: TokenInputs, files: dict[int, Tensor]) -> None:
        local = int(os.environ.get("LOCAL_WORLD_SIZE", self.accelerator.num_processes))
        batches = length_batches(rows.lengths, _BATCH)[self.accelerator.local_process_index :: local]
        starts = starts_of(rows.lengths)
        bar = tqdm(
            total=sum(map(len, batches)),
            desc="frozen layers",
            unit="row",
            leave=False,
            disable=None if self.accelerator.is_main_process else True,
        )
        frozen = [m for m in self.encoder.base.modules() if not any(p.requires_grad for p in m.parameters(False))]
        with bar, cast_once(frozen, self.accelerator.mixed_precision):
            for places in map(np.ndarray.tolist, batches):
                for depth, states in self._states(rows, list(files), places).items():
                    if self._by_token(depth):
                        mask, index = token_places(rows.lengths, starts, places)
                        files[depth][index] = states.cpu()[mask].to(self.dtype)
                    else:
                        files[depth][torch.tensor(places)] = states.cpu().to(self.dtype)
                bar.update(len(places))

    def _states(self, rows: TokenInputs, depths: Sequence[int], places: Sequence[int]) -> dict[int, Tensor]:
        batch = rows.batch(places)
        batch.pop("labels", None)
        base = self.encoder.base
        batch = {name: tensor.to(self._device) for name, tensor in batch.items()}
        was_training = base.training
        base.eval()
        try:
            with torch.no_grad(), self.accelerator.autocast():
                return states_at(
                    self.encoder, depths, self.reading if self.encoder.depth in depths else "tokens", batch
                )
        finally:
            base.train(was_training)

    def _key(self, rows: TokenInputs, depth: int) -> Key:
        return Key(
            weights=_hash_of_weights(self.encoder, depth),
            tokens=_hash_of_tokens(rows),
            depth=depth,
            reading=self.reading if depth == self.encoder.depth else "tokens",
            precision=self.accelerator.mixed_precision,
            dtype=str(self.dtype).removeprefix("torch."),
            shape=self._shape(rows, depth),
            family=self.encoder.family,
            versions=f"torch {torch.__version__}, transformers {transformers.__version__}",
        )

    def _by_token(self, depth: int) -> bool:
        return depth < self.encoder.depth or self.reading == "tokens"

    def _shape(self, rows: TokenInputs, depth: int) -> tuple[int, int]:
        return (int(rows.lengths.sum()) if self._by_token(depth) else len(rows.lengths)), self.encoder.width

    @property
    def _is_shared(self) -> bool:
        return self.accelerator.num_processes > 1

    @property
    def _device(self) -> torch.device:
        return next(self.encoder.base.parameters()).device

    def _agreed(self, holds: Callable[[], bool]) -> bool:
        """Whether `holds` is true on every machine of the run; the first process of each one looks."""
        answer = holds() if self.accelerator.is_local_main_process else True
        return all(gather_object([answer])) if self._is_shared else answer


def _hash_of_weights(encoder: Encoder, depth: int) -> str:
    """A hash of the config, and of every weight that has a part in the states that enter layer `depth`."""
    above = {id(p) for module in encoder.above(depth) for p in module.parameters()}
    digest = hashlib.blake2b(digest_size=16)
    config = {k: v for k, v in encoder.config.to_dict().items() if k not in _NOT_OF_THE_ENCODER}
    digest.update(json.dumps(config, sort_keys=True, default=str).encode())
    for name, tensor in encoder.base.state_dict(keep_vars=True).items():
        if id(tensor) not in above:
            digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
            digest.update(tensor.detach().cpu().contiguous().view(torch.uint8).numpy().data)
    return digest.hexdigest()


_NOT_OF_THE_ENCODER = {
    "_name_or_path", "architectures", "classifier_dropout", "dtype", "id2label", "label2id", "nlp_transfer",
    "num_labels", "problem_type", "transformers_version",
}  # fmt: skip


def _hash_of_tokens(rows: TokenInputs) -> str:
    digest = hashlib.blake2b(rows.lengths.astype(np.int64).tobytes(), digest_size=16)
    names = [name for name in ("input_ids", "token_type_ids") if name in rows.features.column_names]
    for part in itertools.chain.from_iterable(map(rows.columns, names)):
        digest.update(part.flatten().to_numpy(zero_copy_only=False).astype(np.int64).data)
    return digest.hexdigest()


def _mapped(path: Path, shape: tuple[int, int], dtype: torch.dtype, for_writing: bool) -> Tensor:
    return torch.from_file(str(path), shared=for_writing, size=shape[0] * shape[1], dtype=dtype).view(shape)


def _dtype(name: str, precision: str) -> torch.dtype:
    return _DTYPES[{"no": "fp32", "fp8": "bf16"}.get(precision, precision) if name == "auto" else name]
