"""Which of the trainings that are done came from other versions than those here?"""

from __future__ import annotations

from collections.abc import Sequence

from nlp_transfer.experiments.compare.comparison_folder import ComparisonFolder
from nlp_transfer.experiments.trial import Trial
from nlp_transfer.training.checkpointing.fingerprint import versions


def of_other_versions(folder: ComparisonFolder, trials: Sequence[Trial]) -> list[str]:
    """A sentence that counts them and names the versions; none where there are none.

    They are told and not refused: a new release of a library need not cost the hours that were spent.
    """
    now, count = versions(), 0
    then: dict[str, set[str]] = {}
    for trial in trials:
        told = folder.result(trial.name).get("versions", {}) if folder.has(trial.name) else {}
        changed = {name: told[name] for name in now if name in told and told[name] != now[name]}
        count += bool(changed)
        for name, number in changed.items():
            then.setdefault(name, set()).add(number)
    if not count:
        return []
    named = "; ".join(f"{name} {', '.join(sorted(numbers))} (now {now[name]})" for name, numbers in then.items())
    return [f"{count} of {len(trials)} trainings come from other versions, which may be why scores differ: {named}."]
