"""Scores, options and sizes of a run as text."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nlp_transfer.system.durations import in_words

# The folders of an absolute path; after a letter or a colon a slash is that of a fraction, a unit, or an address.
_FOLDERS = re.compile(r"(?<![\w.:/\\~-])(?:[A-Za-z]:)?[/\\](?:[^\s/\\:;,'\"()]+[/\\])+(?=[^\s/\\])")

_NAMES = {
    "mcc": "MCC",
    "macro_f1": "macro F1",
    "micro_f1": "micro F1",
    "samples_f1": "samples F1",
    "hamming_loss": "Hamming loss",
    "lrap": "LRAP",
    "mse": "squared error",
    "mae": "absolute error",
    "pearson": "Pearson's r",
    "spearman": "Spearman's rho",
    "mae_steps": "steps off",
    "quadratic_kappa": "quadratic kappa",
    "f1_strict": "F1 (strict)",
    "precision_strict": "precision (strict)",
    "recall_strict": "recall (strict)",
    "f1_lenient": "F1 (lenient)",
}


def score_name(name: str) -> str:
    """The name of a score in reports."""
    return _NAMES.get(name, name.replace("_", " "))


def number(value: float) -> str:
    """A score with three decimals, never -0."""
    return f"{round(value, 3) + 0.0:.3f}"


def signed(value: float) -> str:
    """A difference of scores with three decimals and its sign."""
    return f"{round(value, 3) + 0.0:+.3f}"


def verdict(findings: Mapping[str, Any]) -> str:
    """The main score, and whether it is better than that of the best baseline, in a sentence or two."""
    if not findings["scores"]:
        return "Nothing was scored: no row has a label."
    main = findings["scores"][0]
    ours = main["model"]
    ends = f"95% {number(ours['low'])} to {number(ours['high'])}"
    score = f"{_upper(score_name(main['name']))} is {number(ours['score'])} ({ends})"
    if not main["baselines"]:
        return f"{score}."
    order = min if main["lower_is_better"] else max
    best = order(main["baselines"], key=lambda baseline: baseline["score"])
    gain = best["difference"]
    baseline = f"the best baseline, {best['name']} ({number(best['score'])})"
    if gain["high"] < 0:
        loss = f"{number(-gain['score'])} (95% {number(-gain['high'])} to {number(-gain['low'])})"
        return f"The transfer did not pay. {score}, worse than {baseline} by {loss}."
    if gain["low"] <= 0:
        by = f"{signed(gain['score'])} (95% {signed(gain['low'])} to {signed(gain['high'])})"
        return f"{score}. The gain over {baseline}, is not significant: {by}."
    by = f"{number(gain['score'])} (95% {number(gain['low'])} to {number(gain['high'])})"
    return f"{score}, better than {baseline} by {by}."


def expectation_sentence(findings: Mapping[str, Any]) -> str | None:
    """What a run without labels expects of itself; None of other runs."""
    expected = findings.get("label_free")
    if not expected:
        return None
    share, chance = expected["expected_accuracy"], expected["chance"]
    told = (
        f"Learned without a labelled row; about {share:.0%} of labels are expected to be right (chance: {chance:.0%})."
    )
    if expected["tells_labels_apart"]:
        return told
    return f"{told} The encoder hardly tells these labels apart: check predictions before relying on any."


def calibration_sentence(findings: Mapping[str, Any], words: Mapping[str, str]) -> str:
    """How probabilities are calibrated, if they are; `words` are the report words of the head."""
    if not findings.get("calibrated"):
        return "Probabilities are those of the raw logits, and not calibrated."
    temperature = findings.get("temperature")
    how = f"a temperature of {temperature:.3f}" if temperature else "a scaling of each label"
    rows, answers = words["calibrated_on"], words["answers"]
    return f"Calibrated by {how}, fitted to {rows} alone; predicted {answers} are the same."


def option_texts(options: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The names and values of options that are set, as text; of an absolute path the last part."""
    texts = []
    for name, value in options.items():
        if value in (None, [], {}, ""):
            continue
        parts = value if isinstance(value, list) else [value]
        texts.append((name, " ".join(public(part) for part in parts)))
    return texts


def public(value: Any) -> str:
    """A value as text; of an absolute path the last part, as a report may be published."""
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return Path(text).name if isinstance(value, str) and Path(text).is_absolute() else text


def without_folders(text: str) -> str:
    """A text, and of absolute paths in it their last parts.

    >>> without_folders("cannot read /home/anna/data/train.csv: it is not at https://a.org/b/c.")
    'cannot read train.csv: it is not at https://a.org/b/c.'
    """
    return _FOLDERS.sub("", text)


def size(count: float | None) -> str:
    """A number of bytes as text, in a fitting unit."""
    if count is None:
        return "not known"
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000 or unit == "GB":
            return f"{count:,.0f} {unit}" if unit in ("bytes", "kB", "MB") else f"{count:,.1f} {unit}"
        count /= 1000
    raise AssertionError("the last unit takes everything")


def differing_options(options: Sequence[Mapping[str, Any]]) -> list[str]:
    """The names of options in which runs differ, without those of the output folder."""
    names = dict.fromkeys(name for of_run in options for name in of_run)
    return [
        name
        for name in names
        if name not in ("output_dir", "overwrite_output_dir", "resume")
        and len({str(of_run.get(name)) for of_run in options}) > 1
    ]


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]


FORMATS = {
    "number": number,
    "signed": signed,
    "score_name": score_name,
    "size": size,
    "in_words": in_words,
    "public": public,
}
"""The functions by which templates format values."""
