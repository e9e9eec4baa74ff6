"""Scoring of files in parts that workers take on in any order, anywhere, and again where one was lost."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.util
import json
import logging
import os
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq  # type: ignore[import-untyped]

from nlp_transfer.config.remembered_options import remembered_options
from nlp_transfer.config.scoring_options import ScoringOptions
from nlp_transfer.data.readers.delimited import delimiter_named, delimiter_of
from nlp_transfer.data.readers.joined_files import files_named
from nlp_transfer.data.readers.row_ranges import Layout, RowRange, json_schema, read_range, row_ranges
from nlp_transfer.errors import DataError, OptionError, UserError
from nlp_transfer.evaluation.scorer import Scorer
from nlp_transfer.system.locking import Lock
from nlp_transfer.version import __version__

log = logging.getLogger(__name__)

_MADE_OF = "_made_of.json"  # engines read no file of a folder whose name begins so
_HIDDEN = ".incomplete-"
_LOCK = ".lock"


@dataclass(frozen=True)
class Part:
    """A file of the output, and the rows that it is of."""

    name: str
    rows: RowRange
    layout: Layout


class ScoringPlan:
    """The parts of a scoring, of which `missing` are not written yet; the folder is locked until `close`.

    >>> with contextlib.closing(ScoringPlan(options)) as plan:
    ...     for result in engine.map(plan.score, plan.items()):
    ...         plan.take(result)

    Raises DataError for files that cannot be read or cut, ModelError where there is no model, and OptionError for a
    folder that holds parts of another model, input or options, or that another run writes to.
    """

    def __init__(self, options: ScoringOptions) -> None:
        self.folder = Path(str(options.output_dir))
        self.score = PartScorer(options)
        self.score.scorer.source.require_there()
        files = _files(str(options.input_file))
        busy = f"--output_dir {self.folder}: another run is writing it; wait for its end, or name another folder."
        self._lock = Lock(self.folder / _LOCK, busy)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._lock.acquire()
        except OSError as error:
            raise OptionError(f"cannot write to --output_dir {self.folder}: {error.strerror}.") from error
        try:
            self._begin(_fingerprint(options, files), options.overwrite_output_dir)
            self.parts = list(_parts(files, options))
        except BaseException:
            self.close()
            raise
        if not self.parts:
            raise DataError(f"{options.input_file} has no rows.")
        self.missing = [part for part in self.parts if not (self.folder / part.name).exists()]
        if done := len(self.parts) - len(self.missing):
            log.info("%s of %s parts are written already.", f"{done:,}", f"{len(self.parts):,}")
        self._written = done

    def items(self) -> list[dict[str, Any]]:
        """The missing parts as rows of plain values, which engines take."""
        return [{"part": json.dumps(_plain(part))} for part in self.missing]

    def take(self, result: Mapping[str, Any]) -> None:
        """Count what `score` returned; raises the UserError that it tells."""
        if error := str(result["error"]):
            raise DataError(error)
        self._written += 1
        log.info("%s: %s rows (%s of %s parts).", result["part"], f"{int(result['rows']):,}", f"{self._written:,}",
                 f"{len(self.parts):,}")  # fmt: skip

    def finish(self) -> None:
        """Say what the folder holds now. Raises DataError where a part is not there: a worker writes elsewhere."""
        if lacking := [part.name for part in self.parts if not (self.folder / part.name).exists()]:
            raise DataError(
                f"{lacking[0]} was scored and is not in {self.folder}: all workers must see this folder at this path."
            )
        rows = sum(part.rows.rows for part in self.parts)
        log.info("%s rows are in %s, in %s parts.", f"{rows:,}", self.folder, f"{len(self.parts):,}")

    def close(self) -> None:
        """Let others write to the folder."""
        self._lock.release()

    def _begin(self, fingerprint: str, overwrite: bool) -> None:
        label = self.folder / _MADE_OF
        there = [path for path in self.folder.iterdir() if path.name != _LOCK]
        if there and not (label.exists() and label.read_text() == fingerprint):
            ours = label.exists() and all(path.suffix == ".parquet" or path.name[0] in "._" for path in there)
            if not (overwrite and ours):
                what = "parts of another model, input or options" if ours else "other files"
                mend = "name another folder" + (", or give --overwrite_output_dir" if ours else "")
                raise OptionError(f"--output_dir {self.folder} holds {what}; {mend}.")
            for path in there:
                path.unlink()
        for path in self.folder.glob(f"{_HIDDEN}*"):
            path.unlink()  # of a worker that was killed
        label.write_text(fingerprint)


class PartScorer:
    """Scores a part: it pickles as options, and loads the model once in a process.

    It may be called for the same part again, or twice at once: the file appears complete, and holds the same.
    """

    def __init__(self, options: ScoringOptions) -> None:
        remembered = remembered_options(str(options.model_name_or_path))
        self.folder = Path(str(options.output_dir)).resolve()
        self.scorer = Scorer(
            str(options.model_name_or_path),
            text_column_name=options.text_column_name,
            text_pair_column_name=options.text_pair_column_name or remembered.get("text_pair_column_name"),
            all_probabilities=options.all_probabilities,
            calibrated=options.calibrated,
            abstain_below=options.abstain_below,
            batch_size=options.per_device_eval_batch_size,
            precision=options.mixed_precision,
            max_length=options.max_length,
            skip_bad_rows=options.skip_bad_rows,
            prefix=options.prefix,
            threads=options.threads,
            trust_remote_code=options.trust_remote_code,
        )

    def __call__(self, item: Mapping[str, Any]) -> dict[str, Any]:
        """Write the part of an item of `ScoringPlan.items`; its name, its rows, and an error that a user can mend.

        An error is returned, not raised: an engine would try again, and tell it in pages.
        """
        part = _part(json.loads(str(item["part"])))
        try:
            return {"part": part.name, "rows": self._write(part), "error": ""}
        except UserError as error:
            return {"part": part.name, "rows": 0, "error": str(error)}

    def _write(self, part: Part) -> int:
        target = self.folder / part.name
        hidden = self.folder / f"{_HIDDEN}{part.name}-{uuid.uuid4().hex[:12]}"
        writer, count = None, 0
        try:
            for rows in read_range(part.rows, part.layout):
                try:
                    scored = self.scorer.table(rows)
                except DataError as error:
                    raise DataError(
                        f"{part.rows.path}, from row {part.rows.first + count + 1:,} on: {error}"
                    ) from error
                writer = writer or pq.ParquetWriter(hidden, scored.schema)
                writer.write_table(scored)
                count += scored.num_rows
            if writer is None:
                raise DataError(
                    f"{part.rows.path} has changed meanwhile: its rows {part.rows.first + 1:,} on are gone."
                )
            writer.close()
            with open(hidden, "rb+") as file:
                os.fsync(file.fileno())
            os.replace(hidden, target)
        finally:
            hidden.unlink(missing_ok=True)
        return count


def require_engine(package: str, extra: str) -> None:
    """Raise OptionError where the package of an engine is missing, with the command that installs it."""
    if importlib.util.find_spec(package) is None:
        raise OptionError(
            f'this needs {package}, not installed here; install with: pip install "nlp-transfer[{extra}]"'
        )


def _files(pattern: str) -> list[Path]:
    path = Path(pattern)
    files = sorted(one for one in path.iterdir() if one.name[0] not in "._") if path.is_dir() else files_named(path)
    if not files:
        raise DataError(f"--input_file {pattern} names no file.")
    for file in files:
        if not file.is_file():
            raise DataError(f"--input_file {file} does not exist.")
    return [file.resolve() for file in files]


def _parts(files: Sequence[Path], options: ScoringOptions) -> Iterator[Part]:
    remembered = remembered_options(str(options.model_name_or_path))
    given = options.delimiter or remembered.get("delimiter")
    schema = next((found for file in files if (found := json_schema(file))), None)
    for number, file in enumerate(files):
        delimiter = None
        if file.suffix.lower() in (".csv", ".tsv"):
            delimiter = delimiter_named(given) if given else delimiter_of(file, None, options.quoting)
        layout = Layout(delimiter, options.quoting != "none", schema)
        for rows in row_ranges(file, options.rows_per_part, layout):
            yield Part(f"part-{number:05}-{rows.first:012}.parquet", rows, layout)


def _fingerprint(options: ScoringOptions, files: Sequence[Path]) -> str:
    """What the parts depend on, as JSON: the model, the input and the options, but not who computes."""
    here = ("output_dir", "overwrite_output_dir", "workers", "threads")
    values = {name: value for name, value in asdict(options).items() if name not in here}
    values["model_name_or_path"] = str(Path(str(options.model_name_or_path)).resolve())
    values["input_file"] = [[str(file), file.stat().st_size, file.stat().st_mtime_ns] for file in files]
    return json.dumps(values | {"model": _model_hash(options), "version": __version__}, indent=1)


def _model_hash(options: ScoringOptions) -> str:
    """A hash of the model's files: weights, tokenizer, labels and thresholds."""
    folder, digest = Path(str(options.model_name_or_path)), hashlib.sha256()
    home = folder / "model" if (folder / "model").is_dir() else folder
    for path in sorted(home.rglob("*")) if home.is_dir() else ():
        if path.is_file() and path.suffix != ".md":
            digest.update(path.name.encode())
            with open(path, "rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def _plain(part: Part) -> dict[str, Any]:
    schema = part.layout.schema
    layout = dataclasses.replace(part.layout, schema=None)
    return {"name": part.name, "rows": asdict(part.rows), "layout": asdict(layout), "schema": schema and schema.hex()}


def _part(values: Mapping[str, Any]) -> Part:
    schema = bytes.fromhex(values["schema"]) if values["schema"] else None
    layout = dataclasses.replace(Layout(**values["layout"]), schema=schema)
    return Part(values["name"], RowRange(**values["rows"]), layout)
