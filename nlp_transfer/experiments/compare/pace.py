"""What is left of a comparison, and how long will it take?"""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from statistics import mean

from tqdm import tqdm

from nlp_transfer.experiments.trial import Trial
from nlp_transfer.system.durations import in_words

log = logging.getLogger(__name__)

_JUDGING = 0.1  # what scoring costs, beside training on all rows
_LINES = 20  # at most so many lines where there is no terminal


class Pace:
    """Tells how far a comparison is: a bar on a terminal, elsewhere a line now and then.

    What a trial will take is what those of the same candidate took, by the share of the rows; of a candidate that none
    was measured of, what all others took.
    """

    def __init__(
        self, trials: Sequence[Trial], done: Sequence[Trial], seconds: Callable[[str], float], workers: int
    ) -> None:
        self._workers = workers
        self._rates: dict[str, list[float]] = defaultdict(list)  # seconds a unit of work, by candidate
        for trial in done:
            self._see(trial, seconds(trial.name))
        self._left = [trial for trial in trials if trial not in done]
        self._total = len(trials)
        self._said = time.monotonic()
        self._began = self._said
        self._bar = tqdm(total=len(trials), initial=len(done), unit="training", leave=False, disable=None)
        if done:
            log.info("%d of %d trainings are done already.", len(done), len(trials))

    def done(self, trial: Trial, seconds: float) -> None:
        """A trial has ended well."""
        self._see(trial, seconds)
        self._over(trial)

    def failed(self, trial: Trial, reason: str) -> None:
        """A trial has failed."""
        with tqdm.external_write_mode():
            log.warning(
                "%s failed (%g of train, seed %d): %s", trial.candidate.name, trial.fraction, trial.seed, reason
            )
        self._over(trial)

    def left(self, running: Sequence[tuple[Trial, float]] = ()) -> float | None:
        """Seconds that are left, where anything was measured; `running` are trials and when they began."""
        if not self._rates:
            return None
        spent = {trial: time.monotonic() - began for trial, began in running}
        needed = [max(self._expected(trial) - spent.get(trial, 0.0), 0.0) for trial in self._left]
        return max(sum(needed) / self._workers, max(needed, default=0.0))

    def show(self, running: Sequence[tuple[Trial, float]]) -> None:
        """Refresh what is shown."""
        seconds = self.left(running)
        told = "" if seconds is None else f"about {in_words(seconds)} left"
        names = ", ".join(trial.candidate.name for trial, _ in running)
        self._bar.set_postfix_str(f"{told}; {names}" if told else names)

    def close(self) -> None:
        """Take the bar away."""
        self._bar.close()

    def _over(self, trial: Trial) -> None:
        self._left.remove(trial)
        self._bar.update()
        ended = self._total - len(self._left)
        step = max(1, self._total // _LINES)
        if self._bar.disable and self._left and ended % step == 0:
            seconds = self.left()
            told = "" if seconds is None else f"; about {in_words(seconds)} left"
            log.info("%d of %d trainings are done%s.", ended, self._total, told)

    def _see(self, trial: Trial, seconds: float) -> None:
        self._rates[trial.candidate.name].append(seconds / _work(trial))

    def _expected(self, trial: Trial) -> float:
        rates = self._rates.get(trial.candidate.name) or [rate for known in self._rates.values() for rate in known]
        return mean(rates) * _work(trial)


def _work(trial: Trial) -> float:
    return trial.fraction + _JUDGING
