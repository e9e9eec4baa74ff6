"""The state of a labelling loop as lines of text."""

from __future__ import annotations

from collections.abc import Iterator

from nlp_transfer.labelling.forecast import AHEAD, LEVEL, Forecast
from nlp_transfer.labelling.label_status import LEAST_ROWS, LabelStatus
from nlp_transfer.metrics import Interval

_WORTH = 0.005  # the share of rows right that the next rows must buy


def status_table(status: LabelStatus) -> str:
    """The lines that `label status` prints."""
    return "\n".join(_lines(status))


def _lines(status: LabelStatus) -> Iterator[str]:
    more = [f"{status.waiting:,} out"] * (status.waiting > 0) + [f"{status.rejected:,} rejected"] * (
        status.rejected > 0
    )
    yield f"{status.labelled:,} of {status.texts:,} texts are labelled{''.join(f', {part}' for part in more)}."
    what = "rows by label" if status.task == "classification" else "entities by type"
    yield f"{what}: {', '.join(f'{name} {count:,}' for name, count in status.counts.items())}"
    if status.task == "classification":
        yield from _curve(status)
    elif status.entities:
        yield f"the tagger on the {status.checked:,} rows to check: F1 {_shown(status.entities)}"
    yield from _files(status)


def _curve(status: LabelStatus) -> Iterator[str]:
    if not status.points:
        yield f"A learning curve needs {LEAST_ROWS} labelled rows of two labels; label a batch first."
        return
    yield ""
    yield f"{'rows learned from':<20}{f'right of the {status.checked} to check':>26}{'right of the others':>24}"
    for point in status.points:
        check = _shown(point.check) if point.check else "-"
        yield f"{point.rows:<20,}{check:>26}{_shown(point.held_out):>24}"
    yield (
        "The rows to check are drawn at random: they say how good it is. The others were picked because they are hard."
    )
    if status.forecast:
        yield ""
        yield from _future(status.forecast)


def _future(future: Forecast) -> Iterator[str]:
    yield f"{_rows(future)}; such intervals are to hold in {100 * LEVEL:.0f} of 100 rounds."
    bought = f"{100 * future.gain.score:.1f} points ({100 * future.gain.low:.1f} to {100 * future.gain.high:.1f})"
    if future.gain.score < _WORTH:
        yield f"The next {AHEAD} rows buy less than half a point: {bought}. This is a place to stop."
    else:
        yield f"The next {AHEAD} rows buy about {bought}."


def _rows(future: Forecast) -> str:
    if future.rows is None:
        least = f" ({future.low:,} at the least)" if future.low is not None else ""
        return f"One point more is not in sight with this encoder{least}"
    return f"About {future.rows:,} more rows for one point ({future.low:,} to {_or_more(future.high)})"


def _or_more(rows: int | None) -> str:
    return "more than can be told" if rows is None else f"{rows:,}"


def _shown(score: Interval) -> str:
    return f"{100 * score.score:.1f} ({100 * score.low:.1f} to {100 * score.high:.1f})"


def _files(status: LabelStatus) -> Iterator[str]:
    if not status.train:
        return
    yield ""
    files = f"{status.trained:,} rows are in {status.train}"
    yield f"{files}, {status.checked:,} to check in {status.check}." if status.check else f"{files}."
    recipe = "classify" if status.task == "classification" else "ner"
    test = f" --test_file {status.check}" if status.check and not status.check_has_more else ""
    yield f"Train on them: nlp-transfer {recipe} --train_file {status.train}{test}"
