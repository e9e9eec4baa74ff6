"""What does a trained model say of every row of an input?"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa  # type: ignore[import-untyped]
import torch
import transformers
from accelerate import Accelerator
from accelerate.utils import InitProcessGroupKwargs

from nlp_transfer.config import PredictionOptions
from nlp_transfer.data.prediction_rows import Text, Texts, open_texts
from nlp_transfer.encoders.precision import precision_for
from nlp_transfer.errors import OptionError
from nlp_transfer.evaluation.resumable_output import Parts
from nlp_transfer.heads import MultiLabelHead, NERHead, RegressionHead, SentimentHead, TaskHead, TextHead
from nlp_transfer.models.transfer_model import WINDOW, TransferModel, model_folder
from nlp_transfer.system import hardware
from nlp_transfer.system.progress_bars import tqdm
from nlp_transfer.types import MultiLabelPrediction, RegressionPrediction, TagPrediction
from nlp_transfer.version import __version__

log = logging.getLogger(__name__)

_DIGITS = 6  # of a probability that is written


def predict_file(options: PredictionOptions) -> None:
    """Write a line for each row that `options` name, in their order; go on where an earlier run was stopped.

    The rows are cut into parts, which are dealt out to the processes of the run; the first one joins them. Raises
    OptionError, DataError and ModelError.
    """
    with contextlib.closing(Parts(Path(str(options.output_file)), options.overwrite_output_file)) as parts:
        _predict_into(parts, options)


def _predict_into(parts: Parts, options: PredictionOptions) -> None:
    model = TransferModel.load(
        str(options.model_name_or_path),
        max_length=options.max_length,
        revision=options.model_revision,
        trust_remote_code=options.trust_remote_code,
    )
    is_tagger = isinstance(model.head, NERHead)
    _validate_options(model.head, options)
    texts = open_texts(options, tagged=is_tagger)
    # A process that is done waits for the slowest one, however long that takes.
    accelerator = Accelerator(
        cpu=hardware.is_cpu_only(),
        kwargs_handlers=[InitProcessGroupKwargs(timeout=timedelta(days=30))],
    )
    hardware.use_cores()
    model.network.to(accelerator.device)
    precision = precision_for(model.encoder.family, options.mixed_precision)
    count = -(-texts.count // WINDOW)
    if accelerator.is_main_process:
        for note in texts.notes:
            log.info(note)
        if texts.skipped:
            log.info("Left out %s bad row%s.", f"{texts.skipped:,}", "s" * (texts.skipped > 1))
        parts.begin(_made_of(model, texts, options, precision))
        _say_calibration(model.head, options)
        if precision != "no" and options.check_precision:
            _say_agreement(model, texts, options, precision)
    accelerator.wait_for_everyone()
    missing = [number for number in range(count) if not parts.has(number)]
    accelerator.wait_for_everyone()  # so that all have looked before anyone writes
    started = time.perf_counter()
    counts = _fill(parts, model, texts, missing, options, accelerator, precision)
    tagged, lost, abstained = accelerator.reduce(torch.tensor(counts, device=accelerator.device)).tolist()
    accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        parts.join(count)
        _say_what_was_done(texts, missing, count, time.perf_counter() - started, parts.target)
        if is_tagger:
            log.info("%s words tagged, %s words lost.", f"{tagged:,}", f"{lost:,}")
        if options.abstain_below is not None:
            done, least = _rows_of(missing, texts.count), options.abstain_below
            log.info("Nothing is said of %s of these %s rows: less sure than %g.", f"{abstained:,}", f"{done:,}", least)
    accelerator.end_training()


def _validate_options(head: TaskHead, options: PredictionOptions) -> None:
    if options.abstain_below is not None:
        head.require_confidence()
    if isinstance(head, NERHead) and options.all_probabilities:
        raise OptionError("--all_probabilities is for classifiers; a tagger gives the probability of each word's tag.")
    if isinstance(head, RegressionHead) and options.all_probabilities:
        raise OptionError("--all_probabilities is for classifiers; this model gives a number.")
    if isinstance(head, TextHead) and head.pairs and not options.text_pair_column_name:
        raise OptionError(
            "this model was trained on pairs of texts; name the second ones with --text_pair_column_name."
        )
    if options.text_pair_column_name and not (isinstance(head, TextHead) and head.pairs):
        raise OptionError("this model was trained on single texts; leave --text_pair_column_name out.")


def _fill(
    parts: Parts,
    model: TransferModel,
    texts: Texts,
    missing: Sequence[int],
    options: PredictionOptions,
    accelerator: Accelerator,
    precision: str,
) -> tuple[int, int, int]:
    """Write this process's share of the parts that are missing.

    Gives how many words got a tag in it, how many none, and of how many rows nothing is said.
    """
    words = lost = abstained = 0
    mine = set(missing[accelerator.process_index :: accelerator.num_processes])
    schema = _schema(model, texts.unit, options)
    bar = tqdm(
        total=_rows_of(mine, texts.count),
        desc="predicting",
        unit="row",
        leave=False,
        disable=None if accelerator.is_main_process else True,
    )
    with bar:
        for number, rows in enumerate(_chunks(iter(texts))):
            if number in mine:
                found = model.predict(
                    [row.text for row in rows],
                    options.per_device_eval_batch_size,
                    precision,
                    options.calibrated,
                    options.abstain_below,
                )
                written = [_line(*pair, texts.unit, options) for pair in zip(rows, found, strict=True)]
                parts.write(number, written, schema)
                bar.update(len(rows))
                tagged = [p for p in found if isinstance(p, TagPrediction)]
                words += sum(len(p.tags) for p in tagged)
                lost += sum(len(p.words) - len(p.tags) for p in tagged)
                abstained += sum(getattr(p, "abstained", False) for p in found)
    return words, lost, abstained


def _chunks(texts: Iterator[Text]) -> Iterator[list[Text]]:
    while rows := list(itertools.islice(texts, WINDOW)):
        yield rows


def _rows_of(numbers: Sequence[int] | set[int], count: int) -> int:
    return sum(min(WINDOW, count - number * WINDOW) for number in numbers)


def _line(row: Text, predicted: Any, unit: str, options: PredictionOptions) -> dict[str, Any]:
    line: dict[str, Any] = {unit: row.line} | ({"id": row.id} if options.id_column_name else {})
    if isinstance(predicted, TagPrediction):
        spans = [asdict(span) | {"score": round(span.score, _DIGITS)} for span in predicted.spans]
        return line | {
            "spans": spans,
            "words": list(predicted.words),
            "tags": list(predicted.tags),
            "probability": [round(p, _DIGITS) for p in predicted.probabilities],
        }
    if isinstance(predicted, RegressionPrediction):
        return line | {"value": predicted.value}
    if isinstance(predicted, MultiLabelPrediction):
        each = [round(predicted.probabilities[name], _DIGITS) for name in predicted.labels]
        line |= _said("labels", list(predicted.labels), each, predicted.abstained, options)
        return line | _all_probabilities(predicted, options)
    likely = round(predicted.probability, _DIGITS)
    line |= _said("label", predicted.label, likely, predicted.abstained, options)
    if hasattr(predicted, "polarity"):
        line["polarity"] = round(predicted.polarity, _DIGITS)
    return line | _all_probabilities(predicted, options)


def _said(name: str, best: Any, likely: Any, abstained: bool, options: PredictionOptions) -> dict[str, Any]:
    """The label or labels, and how likely; where it may abstain, whether it does, and the best guess in any case."""
    if options.abstain_below is None:
        return {name: best, "probability": likely}
    return {name: None if abstained else best, "probability": likely, "abstained": abstained, "best_guess": best}


def _all_probabilities(predicted: Any, options: PredictionOptions) -> dict[str, Any]:
    if not options.all_probabilities:
        return {}
    return {"probabilities": {name: round(p, _DIGITS) for name, p in predicted.probabilities.items()}}


def _schema(model: TransferModel, unit: str, options: PredictionOptions) -> pa.Schema:
    """The columns of `_line` in a Parquet file."""
    fields = {unit: pa.int64()} | ({"id": pa.string()} if options.id_column_name else {})
    if isinstance(model.head, NERHead):
        place = {"type": pa.string(), "text": pa.string(), "start": pa.int64(), "end": pa.int64()}
        span = pa.struct(list((place | {"score": pa.float64()}).items()))
        fields |= {"spans": pa.list_(span), "words": pa.list_(pa.string()), "tags": pa.list_(pa.string())}
        return pa.schema(list((fields | {"probability": pa.list_(pa.float64())}).items()))
    if isinstance(model.head, RegressionHead):
        return pa.schema(list((fields | {"value": pa.float64()}).items()))
    if isinstance(model.head, MultiLabelHead):
        said = pa.list_(pa.string())
        fields |= {"labels": said, "probability": pa.list_(pa.float64())}
    else:
        said = pa.string()
        fields |= {"label": said, "probability": pa.float64()}
    if options.abstain_below is not None:
        fields |= {"abstained": pa.bool_(), "best_guess": said}
    if isinstance(model.head, SentimentHead):
        fields["polarity"] = pa.float64()
    if options.all_probabilities:
        fields["probabilities"] = pa.struct([(name, pa.float64()) for name in model.head.labels])
    return pa.schema(list(fields.items()))


def _made_of(model: TransferModel, texts: Texts, options: PredictionOptions, precision: str) -> str:
    """A fingerprint of everything that the output depends on."""
    digest = hashlib.sha256()
    for name, tensor in model.network.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    folder = Path(model_folder(str(options.model_name_or_path)))
    for path in sorted(folder.glob("*")) if folder.is_dir() else ():
        if path.is_file() and path.suffix in (".json", ".txt", ".model", ".skops"):
            digest.update(path.read_bytes())
    told = [model.head.options(), model.max_length, texts.sha256, texts.unit, precision]
    told += [
        options.all_probabilities,
        options.calibrated,
        options.abstain_below,
        options.id_column_name,
        options.text_pair_column_name,
        options.per_device_eval_batch_size,
    ]
    told += [WINDOW, __version__, torch.__version__, transformers.__version__]
    digest.update(json.dumps(told, default=str).encode())
    return digest.hexdigest()


def _say_calibration(head: TaskHead, options: PredictionOptions) -> None:
    if head.calibration():
        log.info("Probabilities are %s.", "calibrated" if options.calibrated else "the network's own, not calibrated")
    elif options.abstain_below is not None:
        log.info("This model was not calibrated: --abstain_below goes by the network's own probabilities.")


def _say_agreement(model: TransferModel, texts: Texts, options: PredictionOptions, precision: str) -> None:
    first = [row.text for row in itertools.islice(texts, options.check_precision)]
    halved, whole = (model.predict(first, options.per_device_eval_batch_size, p) for p in (precision, "no"))
    if isinstance(model.head, RegressionHead):
        most = max(abs(a.value - b.value) for a, b in zip(halved, whole, strict=True))
        log.info("%s moves the numbers of the first %d rows by %.2g at most.", precision, len(first), most)
        return
    same = sum(_labels(a) == _labels(b) for a, b in zip(halved, whole, strict=True))
    what = {NERHead: "tags", MultiLabelHead: "labels"}.get(type(model.head), "label")
    log.info(
        "%s gives %d of the first %d rows the %s that fp32 gives (%.1f%%).",
        *(precision, same, len(first), what, 100 * same / len(first)),
    )


def _labels(predicted: Any) -> Any:
    if isinstance(predicted, MultiLabelPrediction):
        return predicted.labels
    return predicted.tags if isinstance(predicted, TagPrediction) else predicted.label


def _say_what_was_done(texts: Texts, missing: Sequence[int], count: int, seconds: float, target: Path) -> None:
    done = _rows_of(missing, texts.count)
    there = texts.count - done
    log.info(
        "%s rows predicted in %.1f s (%.0f rows/s)%s; they are in %s.",
        *(f"{done:,}", seconds, done / seconds, f", {there:,} were there" if there else "", target),
    )
