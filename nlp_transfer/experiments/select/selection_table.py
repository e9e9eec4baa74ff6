"""A selection as text, with its verdict, and as JSON and CSV."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path

from nlp_transfer.experiments.select.select_encoders import ESTIMATORS, EncoderScores, Selection

_SURE = 0.95  # share of draws
_NAMES = {"logme": "LogME", "h_score": "H-score", "nleep": "NLEEP"}


def selection_table(selection: Selection) -> str:
    """The encoders, the best first, the layers of each, and what to take, as plain text."""
    return "\n".join(_lines(selection))


def write_selection(folder: Path, selection: Selection) -> None:
    """Write select.json, and select.csv with a line for each encoder (layer `all`) and each of its layers."""
    text = json.dumps(selection.as_dict() | {"verdict": verdict(selection)}, indent=1, ensure_ascii=False)
    (folder / "select.json").write_text(f"{text}\n", encoding="utf-8")
    with open(folder / "select.csv", "w", encoding="utf-8", newline="") as file:
        lines = csv.writer(file)
        lines.writerow(
            ["rank", "encoder", "layer", "probe", "low", "high", "first", *_NAMES, "parameters", "megabytes",
             "seconds_of_pass", "seconds_of_estimating"]
        )  # fmt: skip
        for one in selection.encoders:
            size = [one.parameters, one.megabytes, one.seconds_of_pass, one.seconds_of_estimating]
            lines.writerow([one.ranks["probe"], one.encoder, "all", one.probe, one.low, one.high, one.first,
                            "", "", "", *size])  # fmt: skip
            for layer in one.layers:
                lines.writerow([one.ranks["probe"], one.encoder, layer.layer, layer.probe, layer.low, layer.high, "",
                                layer.logme, layer.h_score, layer.nleep, *size])  # fmt: skip
        for name, reason in selection.failed.items():
            lines.writerow(["", name, "failed", reason])


def verdict(selection: Selection) -> str:
    """The encoder to take, how sure that is, and which estimators disagree."""
    best, *others = selection.encoders
    text = f"Take {best.encoder}: a probe of all its layers has {selection.metric} {_percent(best)}"
    if not others:
        return f"{text}; there is nothing to compare it with."
    text += f", and it is first in {best.first:.0%} of the draws"
    if best.first < _SURE:
        rival = max(others, key=lambda one: one.first)
        text += f" ({rival.encoder} in {rival.first:.0%}), which a larger --sample would make surer"
    disagree = [name for key, name in _NAMES.items() if best.ranks[key] > 1]
    doubt = f" By {' and '.join(disagree)} of the last layer another encoder would be first." if disagree else ""
    return f"{text}.{doubt}"


def _percent(one: EncoderScores) -> str:
    return f"{100 * one.probe:.1f} (95% {100 * one.low:.1f} to {100 * one.high:.1f})"


def _lines(selection: Selection) -> Iterator[str]:
    yield f"train: {selection.rows:,} rows, {selection.items}; probe: {selection.metric}, all layers, 95% by bootstrap"
    yield "In brackets the rank by each estimator, of the last layer."
    yield ""
    names = [one.encoder for one in selection.encoders]
    width = max(len("encoder"), *map(len, names))
    yield (
        f"{'':>2} {'encoder':<{width}} {'probe':>24} {'first':>6} {'best layer':>14} {'LogME':>12} {'H-score':>11} "
        f"{'NLEEP':>11} {'weights':>12} {'MB':>7} {'pass s':>7} {'est. s':>7}"
    )
    for one in selection.encoders:
        last, best = one.last, one.best_layer
        estimates = [(getattr(last, name), one.ranks[name]) for name in ESTIMATORS[1:]]
        shown = [f"{value:.3f} ({rank})" for value, rank in estimates]
        yield (
            f"{one.ranks['probe']:>2} {one.encoder:<{width}} {_percent(one):>24} {one.first:>6.0%} "
            f"{f'{best.layer}: {100 * best.probe:.1f}':>14} {shown[0]:>12} {shown[1]:>11} {shown[2]:>11} "
            f"{one.parameters:>12,} {one.megabytes:>7.1f} {one.seconds_of_pass:>7.1f} {one.seconds_of_estimating:>7.1f}"
        )
    for one in selection.encoders:
        yield ""
        yield f"{one.encoder}, layer by layer:"
        for layer in one.layers:
            yield (
                f"{layer.layer:>4}  probe {100 * layer.probe:.1f} ({100 * layer.low:.1f} to {100 * layer.high:.1f})  "
                f"LogME {layer.logme:.3f}  H-score {layer.h_score:.3f}  NLEEP {layer.nleep:.3f}"
            )
    for name, reason in selection.failed.items():
        yield f"\nleft out: {name}: {reason}"
    yield ""
    yield verdict(selection)
