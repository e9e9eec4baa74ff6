"""The numbers of a run in words."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nlp_transfer.system.durations import in_words

# Of an absolute path all up to its last part; what follows a letter or a colon is a share, a unit, or an address.
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
    """What a person calls a score."""
    return _NAMES.get(name, name.replace("_", " "))


def number(value: float) -> str:
    """A score in three digits, without a sign before 0."""
    return f"{round(value, 3) + 0.0:.3f}"


def signed(value: float) -> str:
    """The same of a difference, with its sign."""
    return f"{round(value, 3) + 0.0:+.3f}"


def verdict(found: Mapping[str, Any]) -> str:
    """How good the model is, and whether it is better than the best baseline, in a sentence or two."""
    main = found["scores"][0]
    ours = main["model"]
    ends = f"95% {number(ours['low'])} to {number(ours['high'])}"
    told = f"{_upper(score_name(main['name']))} is {number(ours['score'])} ({ends})"
    if not main["baselines"]:
        return f"{told}."
    order = min if main["lower_is_better"] else max
    best = order(main["baselines"], key=lambda baseline: baseline["score"])
    gap = best["difference"]
    of = f"the best baseline, {best['name']} ({number(best['score'])})"
    if gap["high"] < 0:
        by = f"{number(-gap['score'])} (95% {number(-gap['high'])} to {number(-gap['low'])})"
        return f"The transfer did not pay. {told}, worse than {of} by {by}."
    if gap["low"] <= 0:
        by = f"{signed(gap['score'])} (95% {signed(gap['low'])} to {signed(gap['high'])})"
        return f"{told}. It is not surely better than {of}: the gain is {by}."
    return f"{told}, better than {of} by {number(gap['score'])} (95% {number(gap['low'])} to {number(gap['high'])})."


def calibration_told(found: Mapping[str, Any], words: Mapping[str, str]) -> str:
    """What calibration there is, and what it did; `words` are the report words of the head."""
    if not found.get("calibrated"):
        return "Probabilities are not calibrated; these are the network's own."
    how = f"a temperature of {found['temperature']:.3f}" if found.get("temperature") else "a scaling of each label"
    on, answers = words["calibrated_on"], words["answers"]
    return f"Calibrated by {how}, fitted to {on} alone; predicted {answers} are the same."


def options_told(options: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Options that have a value, as text; of a path on this machine the last part, which is all that means anything."""
    found = []
    for name, value in options.items():
        if value in (None, [], {}, ""):
            continue
        parts = value if isinstance(value, list) else [value]
        found.append((name, " ".join(public(part) for part in parts)))
    return found


def public(value: Any) -> str:
    """A value as text, and of an absolute path its last part."""
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return Path(text).name if isinstance(value, str) and Path(text).is_absolute() else text


def without_folders(text: str) -> str:
    """A text, and of absolute paths in it their last parts.

    >>> without_folders("cannot read /home/anna/data/train.csv: it is not at https://a.org/b/c.")
    'cannot read train.csv: it is not at https://a.org/b/c.'
    """
    return _FOLDERS.sub("", text)


def size(count: float | None) -> str:
    """Bytes in the unit that suits them."""
    if count is None:
        return "not known"
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000 or unit == "GB":
            return f"{count:,.0f} {unit}" if unit in ("bytes", "kB", "MB") else f"{count:,.1f} {unit}"
        count /= 1000
    raise AssertionError("the last unit takes everything")


def changed(options: Sequence[Mapping[str, Any]]) -> list[str]:
    """The names of options in which runs differ, where they go left out."""
    names = dict.fromkeys(name for given in options for name in given)
    return [
        name
        for name in names
        if name not in ("output_dir", "overwrite_output_dir", "resume")
        and len({str(given.get(name)) for given in options}) > 1
    ]


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]


FORMS = {
    "number": number,
    "signed": signed,
    "score_name": score_name,
    "size": size,
    "in_words": in_words,
    "public": public,
}
"""What templates tell numbers with."""
