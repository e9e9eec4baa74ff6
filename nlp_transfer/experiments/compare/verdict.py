"""The verdict of a comparison: what to take, in two sentences, and notes on the numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from statistics import mean

from nlp_transfer.experiments.compare.summary import Group, Line, best_of, bounds, margin_of, shown
from nlp_transfer.metrics import Interval, difference, interval, is_error
from nlp_transfer.system.durations import in_words

_NEAR = 0.5  # of the margin: validation scores that close are taken as equal
_MOST_TIME = 0.8  # of that of the best: what is not quicker is not worth a lower score
_CHOOSE_AGAIN = "choose again on more validation rows"
_PARTS = {2: "half", 3: "a third", 4: "a quarter", 5: "a fifth", 6: "a sixth", 7: "a seventh", 8: "an eighth",
          9: "a ninth", 10: "a tenth"}  # fmt: skip


def chosen(group: Group, metric: str) -> Line:
    """The line to take: the cheapest of those that validation puts beside the best, among candidates and best baseline.

    Scored rows are not used, so that they stay an unbiased measure of the choice. `scratch` is taken where it is best
    alone: it costs what a candidate does, give or take how busy the machine was.
    """
    best = group.best
    if best_of([best.entry, group.baseline.entry], metric) is not best.entry:
        best = group.baseline
    is_cheap = not group.baseline.entry.encoder
    return _cheapest_beside(best, [*group.candidates, *([group.baseline] if is_cheap else [])], metric)


def _cheapest_beside(best: Line, lines: Sequence[Line], metric: str) -> Line:
    """The quickest of the lines that are as good as the best on validation, or the best where none is much quicker."""
    sign, most = _sign(metric), mean(best.entry.validation)
    near = _NEAR * margin_of(metric, most)
    beside = [
        line
        for line in lines
        if sign * (mean(line.entry.validation) - most) >= -near
        and line.entry.seconds <= _MOST_TIME * best.entry.seconds
        and not _is_worse(difference(line.entry.validation_counts, best.entry.validation_counts)[metric], metric)
    ]
    return min(beside, key=lambda line: line.entry.seconds, default=best)


def verdict(group: Group, metric: str, rows: int) -> str:
    """Two sentences: first where transfer lost to a baseline, then what to take; or what to take, and its worth.

    What validation chose stays chosen where the scored rows say otherwise, and the sentence says that they do.
    """
    taken = chosen(group, metric)
    line = group.best if taken is group.baseline else taken  # the candidate to speak of
    lost = [line for line in group.candidates if _standing(line, metric) < 0]
    baseline, gain = group.baseline.entry, line.to_baseline
    assert gain, "a candidate is no baseline"
    if line in lost:
        text = f"Negative transfer: {line.entry.name} is worse than {baseline.name} {_difference(gain, metric)}"
        if taken is line:
            text += f" on the rows scored here, though validation chose it ({_lead(line, group.baseline, metric)})"
            return f"{text}: {_CHOOSE_AGAIN}. {_costs(line, group.baseline)}"
        score = shown(line.entry.score, metric)
        return f"{text}: take {taken.entry.name}. Of the candidates {line.entry.name} is best ({metric} {score})."
    first = [_negative(lost, baseline.name, metric)] if lost else []
    second = [] if first else [_costs(line, group.baseline)]
    if not _is_better(gain, metric):
        lead = _lead(taken, group.baseline if taken is line else line, metric, " on validation")
        text = f"{line.entry.name} is not significantly better than {baseline.name} {_difference(gain, metric)}"
        text += f": take {taken.entry.name} ({lead}), or score more than these {rows:,} rows to be sure."
    elif taken is not line:
        text = f"{line.entry.name} is significantly better than {baseline.name} on the rows scored here "
        text += f"{_difference(gain, metric)}, though validation chose {baseline.name} "
        text += f"({_lead(taken, line, metric)}): {_CHOOSE_AGAIN}."
    else:
        text = _take(group, line, metric, rows)
        second = [] if first else [_worth(line, baseline.name, metric)]
    return " ".join([*first, text, *second])


def _lead(line: Line, other: Line, metric: str, where: str = "") -> str:
    """The lead of a line over another on validation, which chose.

    >>> _lead(line, other, "accuracy", " on validation")
    '0.5 behind on validation, and quicker'
    """
    points = _sign(metric) * (mean(line.entry.validation) - mean(other.entry.validation))
    if float(shown(points, metric)) > 0:
        return f"{shown(points, metric)} ahead{where}"
    behind = (f"{shown(-points, metric)} behind" if float(shown(points, metric)) else "as good") + where
    return f"{behind}, and quicker" if line.entry.seconds < other.entry.seconds else behind


def _costs(line: Line, other: Line) -> str:
    return (
        f"Training {line.entry.name} took {in_words(line.entry.seconds)}, {other.entry.name} "
        f"{in_words(other.entry.seconds)}."
    )


def notes(groups: Sequence[Group], metric: str, split: str, failures: Mapping[str, str]) -> list[str]:
    """What a reader has to know of the numbers, a sentence each."""
    group = groups[0]
    seeds = max(len(line.entry.seeds) for line in group.lines)
    sentences = []
    if seeds == 1:
        sentences.append("One seed: how much scores vary from seed to seed is not known (--seeds 3).")
    short = [line.entry.name for line in group.lines if len(line.entry.seeds) < seeds]
    if short:
        sentences.append(f"Fewer seeds than the others have: {', '.join(short)}.")
    if split == "validation":
        sentences.append("No test rows: the scores are those of the validation rows that chose, and are optimistic.")
    best = group.best.entry
    for name, measured in (("validation", interval(best.validation_counts)[metric]), (split, group.best.interval)):
        rows = len(best.validation_counts[0] if name == "validation" else best.counts[0])
        sentences += _too_few(name, rows, measured, metric)
    return list(dict.fromkeys(sentences)) + [f"Failed: {name}: {reason}" for name, reason in failures.items()]


def _too_few(split: str, rows: int, measured: Interval, metric: str) -> Iterator[str]:
    """How many rows would narrow an interval that is too wide to act on."""
    half, wanted = (measured.high - measured.low) / 2, margin_of(metric, measured.score)
    needed = rows * (half / wanted) ** 2 if wanted else 0.0
    if not half and not is_error(metric):  # all rows are right, or none, and draws of them alike: 3 / rows may be wrong
        half, needed = min(1.5 / rows, 0.5), 1.5 / wanted  # (Hanley and Lippman-Hand 1983)
    if half > wanted > 0:
        points = "" if is_error(metric) else " points"
        yield (
            f"{split.capitalize()} has {rows:,} rows, which measure a score to ±{shown(half, metric)}{points}; "
            f"±{shown(wanted, metric)} would take about {_rounded(needed):,} rows."
        )


def _take(group: Group, taken: Line, metric: str, rows: int) -> str:
    name, best = taken.entry.name, group.best
    if taken is best:
        score = f"{metric} {shown(taken.entry.score, metric)}, 95% {bounds(taken.interval, metric)}"
        return f"{name} is best ({score}): take {name}."
    if taken.to_best and _is_worse(taken.to_best, metric):
        share = part_of(taken.entry.seconds, best.entry.seconds)
        return (
            f"{name}, on validation as good as {best.entry.name} at {share} of the time, is significantly worse on the "
            f"rows scored here {_difference(taken.to_best, metric)}: take {name}, or {_CHOOSE_AGAIN}."
        )
    return f"{_beside(group, taken, metric, rows)}: take {name}."


def _beside(group: Group, taken: Line, metric: str, rows: int) -> str:
    """How what is taken stands beside the best."""
    assert taken.to_best
    low = taken.to_best.low if _sign(metric) > 0 else -taken.to_best.high
    is_as_good = low >= -margin_of(metric, group.best.entry.score)
    how = "is as good as" if is_as_good else f"cannot be distinguished by {rows:,} rows from"
    return (
        f"{taken.entry.name} {how} {group.best.entry.name} {_difference(taken.to_best, metric)} at "
        f"{part_of(taken.entry.seconds, group.best.entry.seconds)} of the time"
    )


def _negative(lost: Sequence[Line], baseline: str, metric: str) -> str:
    names = [f"{line.entry.name} {_difference(line.to_baseline, metric)}" for line in lost if line.to_baseline]
    are = "is" if len(lost) == 1 else "are"
    named = " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
    return f"Negative transfer: {named} {are} worse than {baseline}."


def _worth(taken: Line, baseline: str, metric: str) -> str:
    assert taken.to_baseline
    needed = next((gain.rows_needed for gain in taken.gains if gain.over == baseline), None)
    rows = f", which needs {needed} labelled rows to match it" if needed and needed.bound != "less" else ""
    how = "better than" if is_error(metric) else "points above"
    return f"That is {_difference(taken.to_baseline, metric, how)} {baseline}{rows}."


def _difference(difference: Interval, metric: str, how: str = "") -> str:
    if how:
        if is_error(metric):  # of which less is better
            difference = Interval(-difference.score, -difference.high, -difference.low)
        return f"{shown(difference.score, metric)} (95% {bounds(difference, metric)}) {how}"
    return f"(difference {shown(difference.score, metric)}, 95% {bounds(difference, metric)})"


def part_of(seconds: float, whole: float) -> str:
    """A share of time as a person says it.

    >>> part_of(20, 100), part_of(2, 100)
    ('a fifth', '2%')
    """
    share = seconds / whole if whole else 1.0
    times = round(1 / share) if share else 0
    if times in _PARTS and abs(share * times - 1) < 0.15:
        return _PARTS[times]
    return f"{share:.0%}" if share >= 0.01 else "less than 1%"


def _rounded(rows: float) -> int:
    """To two digits: it is an estimate."""
    digits = max(0, len(str(int(rows))) - 2)
    return round(rows / 10**digits) * 10**digits


def _sign(metric: str) -> int:
    return -1 if is_error(metric) else 1


def _standing(line: Line, metric: str) -> int:
    """1 for a line significantly better than the best baseline, -1 for one significantly worse, else 0."""
    gap = line.to_baseline
    return 0 if gap is None else int(_is_better(gap, metric)) - int(_is_worse(gap, metric))


def _is_worse(difference: Interval, metric: str) -> bool:
    return difference.high < 0 if _sign(metric) > 0 else difference.low > 0


def _is_better(difference: Interval, metric: str) -> bool:
    return difference.low > 0 if _sign(metric) > 0 else difference.high < 0
