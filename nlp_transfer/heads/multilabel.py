"""The head that gives each text any number of labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from datasets import Dataset
from torch import Tensor

from nlp_transfer.data.read_rows import Rows
from nlp_transfer.data.row_store import values
from nlp_transfer.data.splits import Splits
from nlp_transfer.encoders.sklearn_head.fitting import Fitted, fit_several
from nlp_transfer.errors import OptionError
from nlp_transfer.heads.baselines import multi_label_baselines, texts_of
from nlp_transfer.heads.losses import (
    CLASS_WEIGHTS,
    in_order,
    label_frequencies,
    positive_weights,
    require_loss,
    require_way,
    require_weights,
    sigmoid_loss,
    weights_again,
)
from nlp_transfer.heads.registry import register_head
from nlp_transfer.heads.task_head import Columns, TaskHead
from nlp_transfer.heads.text_head import TextHead, are_pairs
from nlp_transfer.metrics import RowCounts, multi_label_scores, set_counts
from nlp_transfer.metrics.temperature import fitted_scaling
from nlp_transfer.system.text import inline_code
from nlp_transfer.types import LabelSet, MultiLabelPrediction, Scores


@register_head
class MultiLabelHead(TextHead):
    """Any number of labels for each text, also none; each is there or not by itself.

    A label is predicted where the sigmoid of its logit is at least its threshold. Thresholds are 0.5 until `tune` fits
    them to validation rows, which `fit` does after training. It fits a scaling of each label's logits too, by which
    probabilities come true; `calibration` gives the thresholds of these, which part the same texts.

    >>> head = MultiLabelHead(["late", "rude", "dear"])
    >>> model = TransferModel.load("all-MiniLM-L6-v2", head)

    Args:
        labels: their names; the order gives their ids.
        pooling, hidden, dropout: the shape, as `TextHead` says.
        class_weights: a factor on the loss of each label where it is there, by name; a label not named has 1.
        loss: `cross_entropy` (binary, of each label) or `focal` (`losses.sigmoid_loss`).
        focal_gamma: how much less a label costs in focal loss, the surer the network is of it.
        thresholds: the least sigmoid of each label's logit, by name; a label not named has 0.5.
        scaling: a and b of each label, by name, where its probability is sigmoid(a * logit + b), a more than 0; empty
            where nothing was fitted.
        shape: what else `TextHead` takes.

    Raises:
        OptionError: a value outside what is said above.
    """

    task = "multi_label"
    title = "multi label"
    prediction = MultiLabelPrediction
    answer_name = "labels"
    best_metric = "lrap"
    headline_scores = ("micro_f1", "macro_f1", "samples_f1", "hamming_loss", "lrap")
    slice_metric = "micro_f1"
    choice_metric = "lrap"
    report_parts = ("label_sets",)
    report_words: ClassVar[dict[str, str]] = TextHead.report_words | {
        "probabilities": "Of each label of each row by itself; a row is right where all its labels are."
    }
    can_collapse = False
    problem = "multi_label"
    problem_type = "multi_label_classification"
    is_tuned = True

    def __init__(
        self,
        labels: Sequence[str] | LabelSet,
        pooling: str = "native",
        hidden: Sequence[int] = (),
        dropout: float | None = None,
        class_weights: Mapping[str, float] | None = None,
        loss: str = "cross_entropy",
        focal_gamma: float = 2.0,
        thresholds: Mapping[str, float] | None = None,
        scaling: Mapping[str, Sequence[float]] | None = None,
        **shape: Any,
    ) -> None:
        super().__init__(labels, pooling, hidden, dropout, **shape)
        self.class_weights = dict(class_weights or {})
        self.loss_name = loss
        self.focal_gamma = focal_gamma
        self.thresholds = dict.fromkeys(self.labels, 0.5) | dict(thresholds or {})
        self.scaling = {name: list(pair) for name, pair in (scaling or {}).items()}
        self._require_sense()

    @classmethod
    def for_splits(cls, splits: Splits, **options: Any) -> MultiLabelHead:
        """The head for the labels in `splits.train`, in alphabetical order.

        `class_weights` may be the name of a way to weigh them (`losses.positive_weights`).
        """
        if options.pop("label_smoothing", 0):
            raise OptionError("--label_smoothing spreads one label over the others; leave it out for several labels.")
        rows = list(values(splits.train.data, "label"))
        counts = Counter(label for labels in rows for label in labels)
        way = options.get("class_weights")
        if isinstance(way, str):
            require_way(way)
            options["class_weights"] = positive_weights(way, counts, len(rows))
        return cls(sorted(counts), pairs=are_pairs(splits), **options)

    def options(self) -> dict[str, Any]:
        return super().options() | {
            "class_weights": self.class_weights,
            "loss": self.loss_name,
            "focal_gamma": self.focal_gamma,
            "thresholds": self.thresholds,
            "scaling": self.scaling,
        }

    def targets(self, references: Sequence[Sequence[str]]) -> list[list[list[float]]]:
        """A row of 0.0 and 1.0 for each row, in the order of the labels."""
        found = []
        for labels in references:
            ids = {self.labels.id(label) for label in labels}
            found.append([[float(i in ids) for i in range(len(self.labels))]])
        return found

    def summed_loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        return sigmoid_loss(
            logits,
            labels,
            positive_weights=in_order(self.class_weights, self.labels.names, logits),
            gamma=self.focal_gamma if self.loss_name == "focal" else None,
        )

    def plain_loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        return sigmoid_loss(logits, labels)

    def decode(self, outputs: Sequence[np.ndarray], rows: Columns) -> list[MultiLabelPrediction]:
        logits = self.logits_of_rows(outputs).astype(np.float64)
        there = _sigmoid(logits) >= [self.thresholds[name] for name in self.labels]  # whatever the scaling
        found = []
        for probabilities, is_there in zip(_sigmoid(self._scaled(logits)), there, strict=True):
            named = {name: float(p) for name, p in zip(self.labels, probabilities, strict=True)}
            labels = tuple(name for name, holds in zip(self.labels, is_there, strict=True) if holds)
            found.append(MultiLabelPrediction(labels, named))
        return found

    def _scaled(self, logits: np.ndarray) -> np.ndarray:
        """Logits `(rows, labels)`, or one a label, after the scaling."""
        a, b = np.array([self.scaling.get(name, (1.0, 0.0)) for name in self.labels]).T
        return a * logits + b

    def tune(self, outputs: Sequence[np.ndarray], rows: Columns) -> None:
        """Set the threshold of each label to that with the best F1 on these rows; if none has the label, it stays.

        (Lipton et al. 2014, "Optimal thresholding of classifiers to maximize F1 measure".) And fit the scaling, where
        the rows are enough.
        """
        logits = self.logits_of_rows(outputs).astype(np.float64)
        probabilities = _sigmoid(logits)
        there = np.array([items[0] for items in self.targets(self.references(rows))]) > 0.5
        for i, name in enumerate(self.labels):
            if there[:, i].any():
                self.thresholds[name] = best_threshold(probabilities[:, i], there[:, i])
        self.scaling = fitted_scaling(logits, there, self.labels.names)

    def calibration(self) -> dict[str, Any]:
        """The scaling, and the thresholds of probabilities after it."""
        if not self.scaling:
            return {}
        with np.errstate(divide="ignore"):  # a threshold may be 0 or 1
            p = np.array([self.thresholds[name] for name in self.labels])
            scaled = _sigmoid(self._scaled(np.log(p) - np.log1p(-p)))
        return {"scaling": self.scaling, "thresholds": dict(zip(self.labels, scaled.tolist(), strict=True))}

    def forget_calibration(self) -> None:
        self.scaling = {}

    def score(self, predictions: Sequence[MultiLabelPrediction], references: Sequence[Sequence[str]]) -> Scores:
        ranked = [[p.probabilities[name] for name in self.labels] for p in predictions]
        return multi_label_scores([p.labels for p in predictions], references, self.labels.names, ranked)

    def counts(self, predictions: Sequence[MultiLabelPrediction], references: Sequence[Sequence[str]]) -> RowCounts:
        """What each row adds to the scores; without LRAP where predictions lack the probabilities that rank labels."""
        ranked = [[p.probabilities.get(name, 0.0) for name in self.labels] for p in predictions]
        counts = set_counts([p.labels for p in predictions], references, self.labels.names, ranked)
        if all(p.probabilities for p in predictions):
            return counts
        return RowCounts(counts.counts, lambda sums: {k: v for k, v in counts.scores(sums).items() if k != "lrap"})

    def baselines(self, train: Dataset, asked: Sequence[Dataset], seed: int = 0) -> dict[str, list[Any]]:
        others, names = [text for rows in asked for text in texts_of(rows)], self.labels.names
        baselines = multi_label_baselines(texts_of(train), list(values(train, "label")), others, names, seed)
        return {
            name: [
                MultiLabelPrediction(tuple(labels), dict(zip(names, ranks, strict=True)))
                for labels, ranks in zip(sets, ranking.tolist(), strict=True)
            ]
            for name, (sets, ranking) in baselines.items()
        }

    def scoring_record(self, row: int, gold: Any, predicted: MultiLabelPrediction) -> dict[str, Any]:
        """The line with the probabilities of all labels, which rank them."""
        return predicted.record(row, gold) | {"probabilities": predicted.probabilities}

    def on_share(self, everything: Rows, share: Rows) -> TaskHead:
        before, now = (label_frequencies(self.labels, rows.data) for rows in (everything, share))
        sizes = len(everything.data), len(share.data)
        ways = [
            (positive_weights(way, before, sizes[0]), positive_weights(way, now, sizes[1])) for way in CLASS_WEIGHTS
        ]
        return type(self)(**self.options() | {"class_weights": weights_again(self.class_weights, ways)})

    def require_features(self, classifier: str) -> None:
        super().require_features(classifier)
        if classifier not in self.classifiers:
            raise OptionError(
                f"--classifier {classifier} gives a text one label; for several labels take "
                f"{' or '.join(self.classifiers)}."
            )

    def fit_classifier(
        self, classifier: str, features: np.ndarray, labels: np.ndarray, seed: int
    ) -> Fitted | tuple[np.ndarray, np.ndarray]:
        weights = {self.labels.id(name): weight for name, weight in self.class_weights.items()}
        return fit_several(classifier, features, labels, seed, weights)

    _call_options = ", top_k=None"  # else the likeliest label alone

    def describe(self) -> list[str]:
        thresholds = (f"{inline_code(name)} {threshold:.3f}" for name, threshold in self.thresholds.items())
        return [
            *super().describe(),
            "A text has every label that is at least as likely as its threshold, chosen on the validation rows: ",
            f"{', '.join(thresholds)}.",
        ]

    def _calibration_formula(self) -> str:
        return (
            "`scaling` in `config.json` holds a and b of each label, whose calibrated probability is\n"
            "sigmoid(a * logit + b)."
        )

    def _require_sense(self) -> None:
        if len(self.labels) < 2:
            raise OptionError(f"a head of several labels needs two or more; it was given {list(self.labels)}.")
        if self.loss_name == "logit_adjusted":
            raise OptionError(
                "--loss logit_adjusted is for one label a text; for several take --class_weights or --loss focal."
            )
        require_loss(self.loss_name, self.focal_gamma, ("cross_entropy", "focal"))
        require_weights(self.class_weights, self.labels.names)
        for name, threshold in self.thresholds.items():
            if name not in self.labels or not 0 <= threshold <= 1:
                raise OptionError(f"thresholds are of the labels, and lie in [0, 1]; that of {name} is {threshold}.")
        for name, pair in self.scaling.items():
            if name not in self.labels or len(pair) != 2 or not 0 < pair[0] < np.inf:
                raise OptionError(f"scaling is a and b of the labels, a more than 0; that of {name} is {pair}.")


def _sigmoid(logits: np.ndarray) -> np.ndarray:
    return 0.5 * (1 + np.tanh(0.5 * logits))  # without overflow


def best_threshold(probabilities: np.ndarray, there: np.ndarray) -> float:
    """The threshold with the best F1, halfway between two probabilities `(rows,)`; of equals the one nearest to 0.5."""
    order = np.argsort(-probabilities, kind="stable")
    ranked, hits = probabilities[order], np.cumsum(there[order])
    f1 = 2 * hits / (np.arange(1, len(ranked) + 1) + there.sum())
    below = np.append(ranked[1:], 0.0)
    cuts = np.flatnonzero(ranked > below)  # rows of one probability are all taken, or none
    middles = (ranked[cuts] + below[cuts]) / 2
    best = np.flatnonzero(np.isclose(f1[cuts], f1[cuts].max()))
    return float(middles[best[np.argmin(np.abs(middles[best] - 0.5))]])
