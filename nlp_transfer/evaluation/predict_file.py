"""Predictions of a trained model for every row of a file."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import logging
import time
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa  # type: ignore[import-untyped]
import torch
import transformers
from accelerate import Accelerator
from accelerate.utils import InitProcessGroupKwargs

from nlp_transfer.config import PredictionOptions
from nlp_transfer.config.remembered_options import remembered_options
from nlp_transfer.data.prediction_rows import Text, Texts, open_texts
from nlp_transfer.data.remembered_reading import as_in_training
from nlp_transfer.encoders.precision import precision_for
from nlp_transfer.evaluation.prediction_columns import PredictionColumns, require_as_many_texts
from nlp_transfer.evaluation.resumable_output import ResumableOutput
from nlp_transfer.heads import TaskHead
from nlp_transfer.models.transfer_model import WINDOW, TransferModel, model_folder
from nlp_transfer.system import hardware
from nlp_transfer.system.launcher import require_launched
from nlp_transfer.system.progress_bars import tqdm
from nlp_transfer.types import AnyPrediction
from nlp_transfer.version import __version__

log = logging.getLogger(__name__)


def predict_file(options: PredictionOptions) -> None:
    """Write a line for each row of the input file, in their order; an earlier run that was stopped is resumed.

    The rows are cut into parts, which are dealt out to the processes of the run; the first one joins them. Raises
    OptionError, DataError and ModelError.
    """
    with contextlib.closing(ResumableOutput(Path(str(options.output_file)), options.overwrite_output_file)) as output:
        _predict_into(output, options)


def _predict_into(output: ResumableOutput, options: PredictionOptions) -> None:
    model = TransferModel.load(
        str(options.model_name_or_path),
        max_length=options.max_length,
        revision=options.model_revision,
        trust_remote_code=options.trust_remote_code,
    )
    remembered = remembered_options(str(options.model_name_or_path))
    options, notes = as_in_training(options, remembered, tagged=model.head.labels_words)
    columns = PredictionColumns.of(
        model.head,
        all_probabilities=options.all_probabilities,
        abstain_below=options.abstain_below,
        marks_known=model.rejection is not None,
    )
    require_as_many_texts(model.head, options.text_pair_column_name)
    texts = open_texts(options, tagged=model.head.labels_words)
    require_launched(options.processes)
    hardware.claim_device()
    # A process that has finished waits for the slowest one, however long that takes.
    accelerator = Accelerator(
        cpu=hardware.is_cpu_only(),
        kwargs_handlers=[InitProcessGroupKwargs(timeout=timedelta(days=30))],
    )
    hardware.use_cores()
    model.network.to(accelerator.device)
    precision = precision_for(model.encoder.family, options.mixed_precision)
    count = -(-texts.count // WINDOW)
    if accelerator.is_main_process:
        for note in (*notes, *texts.notes):
            log.info(note)
        if texts.skipped:
            log.info("Left out %s bad row%s.", f"{texts.skipped:,}", "s" * (texts.skipped > 1))
        output.begin(_fingerprint(model, texts, options, precision))
        _log_calibration(model.head, options)
        if precision != "no" and options.check_precision:
            _log_agreement(model, texts, options, precision)
    accelerator.wait_for_everyone()
    missing = [number for number in range(count) if not output.has(number)]
    accelerator.wait_for_everyone()  # so that all have listed the missing parts before one is written
    started = time.perf_counter()
    counts = _write_missing(output, model, texts, columns, missing, options, accelerator, precision)
    tagged, lost, abstained = accelerator.reduce(torch.tensor(counts, device=accelerator.device)).tolist()
    accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        output.join(count)
        _log_speed(texts, missing, time.perf_counter() - started, output.target)
        if model.head.labels_words:
            log.info("%s words tagged, %s words lost.", f"{tagged:,}", f"{lost:,}")
        if options.abstain_below is not None:
            predicted, least = _rows_in(missing, texts.count), options.abstain_below
            log.info(
                "Abstained on %s of these %s rows: probability below %g.", f"{abstained:,}", f"{predicted:,}", least
            )
    accelerator.end_training()


def _write_missing(
    output: ResumableOutput,
    model: TransferModel,
    texts: Texts,
    columns: PredictionColumns,
    missing: Sequence[int],
    options: PredictionOptions,
    accelerator: Accelerator,
    precision: str,
) -> tuple[int, int, int]:
    """Write this process's share of the missing parts; returns its words with a tag, without one, and abstentions."""
    words = lost = abstained = 0
    mine = set(missing[accelerator.process_index :: accelerator.num_processes])
    schema = _schema(columns, texts.unit, options)
    bar = tqdm(
        total=_rows_in(mine, texts.count),
        desc="predicting",
        unit="row",
        leave=False,
        disable=None if accelerator.is_main_process else True,
    )
    with bar:
        for number, rows in enumerate(_chunks(iter(texts))):
            if number in mine:
                predictions = model.predict(
                    [row.text for row in rows],
                    options.per_device_eval_batch_size,
                    precision,
                    options.calibrated,
                    options.abstain_below,
                )
                lines = [_line(*pair, columns, texts.unit, options) for pair in zip(rows, predictions, strict=True)]
                output.write(number, lines, schema)
                bar.update(len(rows))
                tagged, untagged = model.head.words_tagged(predictions)
                words, lost = words + tagged, lost + untagged
                if options.abstain_below is not None:
                    abstained += sum(p.abstained for p in predictions)
    return words, lost, abstained


def _chunks(texts: Iterator[Text]) -> Iterator[list[Text]]:
    while rows := list(itertools.islice(texts, WINDOW)):
        yield rows


def _rows_in(numbers: Sequence[int] | set[int], count: int) -> int:
    """How many of `count` rows are in the parts of these numbers."""
    return sum(min(WINDOW, count - number * WINDOW) for number in numbers)


def _line(
    row: Text, prediction: AnyPrediction, columns: PredictionColumns, unit: str, options: PredictionOptions
) -> dict[str, Any]:
    line: dict[str, Any] = {unit: row.line} | ({"id": row.id} if options.id_column_name else {})
    return line | columns.row(prediction)


def _schema(columns: PredictionColumns, unit: str, options: PredictionOptions) -> pa.Schema:
    """The columns of `_line` in a Parquet file."""
    fields = {unit: pa.int64()} | ({"id": pa.string()} if options.id_column_name else {})
    return pa.schema(list((fields | columns.schema()).items()))


def _fingerprint(model: TransferModel, texts: Texts, options: PredictionOptions, precision: str) -> str:
    """A hash of everything that the output depends on."""
    digest = hashlib.sha256()
    for name, tensor in model.network.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    folder = Path(model_folder(str(options.model_name_or_path)))
    for path in sorted(folder.glob("*")) if folder.is_dir() else ():
        if path.is_file() and path.suffix in (".json", ".txt", ".model", ".skops", ".npz"):
            digest.update(path.read_bytes())
    values = [model.head.options(), model.max_length, texts.sha256, texts.unit, precision]
    values += [
        options.all_probabilities,
        options.calibrated,
        options.abstain_below,
        options.id_column_name,
        options.text_pair_column_name,
        options.per_device_eval_batch_size,
    ]
    values += [WINDOW, __version__, torch.__version__, transformers.__version__]
    digest.update(json.dumps(values, default=str).encode())
    return digest.hexdigest()


def _log_calibration(head: TaskHead, options: PredictionOptions) -> None:
    if head.calibration():
        log.info(
            "Probabilities are %s.", "calibrated" if options.calibrated else "those of the raw logits, not calibrated"
        )
    elif options.abstain_below is not None:
        log.info("This model is not calibrated: --abstain_below compares probabilities of the raw logits.")


def _log_agreement(model: TransferModel, texts: Texts, options: PredictionOptions, precision: str) -> None:
    first = [row.text for row in itertools.islice(texts, options.check_precision)]
    reduced, fp32 = (model.predict(first, options.per_device_eval_batch_size, p) for p in (precision, "no"))
    log.info("%s %s.", precision, model.head.agreement(reduced, fp32))


def _log_speed(texts: Texts, missing: Sequence[int], seconds: float, target: Path) -> None:
    predicted = _rows_in(missing, texts.count)
    earlier = texts.count - predicted
    log.info(
        "%s rows predicted in %.1f s (%.0f rows/s)%s; they are in %s.",
        *(
            f"{predicted:,}",
            seconds,
            predicted / seconds,
            f", {earlier:,} by an earlier run" if earlier else "",
            target,
        ),
    )
