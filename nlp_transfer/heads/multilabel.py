"""The head that gives each text any number of labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from datasets import Dataset
from torch import Tensor

from nlp_transfer.data.row_store import values
from nlp_transfer.data.rows import Rows
from nlp_transfer.data.splits import Splits
from nlp_transfer.decoding import LabelSetDecoder
from nlp_transfer.decoding.probabilities import sigmoid
from nlp_transfer.encoders.sklearn_head.fitting import Fitted, fit_several
from nlp_transfer.errors import OptionError
from nlp_transfer.heads.baselines import multi_label_baselines, texts_of
from nlp_transfer.heads.losses import (
    CLASS_WEIGHTS,
    in_order,
    label_frequencies,
    positive_weights,
    recomputed_weights,
    require_loss,
    require_scheme,
    require_weights,
    sigmoid_loss,
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
    """Any number of labels for each text, also none; each is predicted by itself.

    A label is predicted where the sigmoid of its logit is at least its threshold. Thresholds are 0.5 until `tune` fits
    them to the validation rows after training. It also fits a scaling of each label's logits, which calibrates the
    probabilities; `calibration` returns the thresholds on the calibrated scale, with the same predictions.

    >>> head = MultiLabelHead(["late", "rude", "dear"])
    >>> model = TransferModel.load("all-MiniLM-L6-v2", head)

    Args:
        labels: their names; the order gives their ids.
        pooling, hidden, dropout: as in `TextHead`.
        class_weights: a factor on the loss of each label's positive rows, by name; by default 1.
        loss: `cross_entropy` (binary, of each label) or `focal` (`losses.sigmoid_loss`).
        focal_gamma: the exponent of focal loss, which down-weights labels that are easy.
        thresholds: the least sigmoid of each label's logit, by name; by default 0.5.
        scaling: a and b of each label, by name, where its probability is sigmoid(a * logit + b), a more than 0; empty
            where it was not fitted.
        shape: other arguments of `TextHead`.

    Raises:
        OptionError: a value outside these.
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
        pooling: str | None = None,
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
        self._validate()

    @classmethod
    def for_splits(cls, splits: Splits, **options: Any) -> MultiLabelHead:
        """The head for the labels in `splits.train`, in alphabetical order.

        `class_weights` may be the name of a scheme (`losses.positive_weights`).
        """
        if options.pop("label_smoothing", 0):
            raise OptionError("--label_smoothing is for one label a text; leave it out where texts have several.")
        rows = list(values(splits.train.data, "label"))
        counts = Counter(label for labels in rows for label in labels)
        scheme = options.get("class_weights")
        if isinstance(scheme, str):
            require_scheme(scheme)
            options["class_weights"] = positive_weights(scheme, counts, len(rows))
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
        targets = []
        for labels in references:
            ids = {self.labels.id(label) for label in labels}
            targets.append([[float(i in ids) for i in range(len(self.labels))]])
        return targets

    def summed_loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        return sigmoid_loss(
            logits,
            labels,
            positive_weights=in_order(self.class_weights, self.labels.names, logits),
            gamma=self.focal_gamma if self.loss_name == "focal" else None,
        )

    def plain_loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        return sigmoid_loss(logits, labels)

    def decoder(self) -> LabelSetDecoder:
        return LabelSetDecoder(**self.decoding_options(), thresholds=dict(self.thresholds), scaling=dict(self.scaling))

    def tune(self, outputs: Sequence[np.ndarray], rows: Columns) -> None:
        """Set the threshold of each label to that with the best F1 on these rows; if none has the label, it stays.

        (Lipton et al. 2014, "Optimal thresholding of classifiers to maximize F1 measure".) Also fit the scaling, if
        there are enough rows.
        """
        logits = self.logits_of_rows(outputs).astype(np.float64)
        probabilities = sigmoid(logits)
        positive = np.array([items[0] for items in self.targets(self.references(rows))]) > 0.5
        for i, name in enumerate(self.labels):
            if positive[:, i].any():
                self.thresholds[name] = best_threshold(probabilities[:, i], positive[:, i])
        self.scaling = fitted_scaling(logits, positive, self.labels.names)

    def calibration(self) -> dict[str, Any]:
        """The scaling, and the thresholds on the scale of the calibrated probabilities."""
        if not self.scaling:
            return {}
        with np.errstate(divide="ignore"):  # a threshold may be 0 or 1
            p = np.array([self.thresholds[name] for name in self.labels])
            scaled = sigmoid(self.decoder().scaled(np.log(p) - np.log1p(-p)))
        return {"scaling": self.scaling, "thresholds": dict(zip(self.labels, scaled.tolist(), strict=True))}

    def forget_calibration(self) -> None:
        self.scaling = {}

    def score(self, predictions: Sequence[MultiLabelPrediction], references: Sequence[Sequence[str]]) -> Scores:
        ranked = [[p.probabilities[name] for name in self.labels] for p in predictions]
        return multi_label_scores([p.labels for p in predictions], references, self.labels.names, ranked)

    def counts(self, predictions: Sequence[MultiLabelPrediction], references: Sequence[Sequence[str]]) -> RowCounts:
        """What each row adds to the scores; without LRAP where predictions lack the probabilities of all labels."""
        ranked = [[p.probabilities.get(name, 0.0) for name in self.labels] for p in predictions]
        counts = set_counts([p.labels for p in predictions], references, self.labels.names, ranked)
        if all(p.probabilities for p in predictions):
            return counts
        return RowCounts(counts.counts, lambda sums: {k: v for k, v in counts.scores(sums).items() if k != "lrap"})

    def baselines(self, train: Dataset, others: Sequence[Dataset], seed: int = 0) -> dict[str, list[Any]]:
        texts, names = [text for rows in others for text in texts_of(rows)], self.labels.names
        baselines = multi_label_baselines(texts_of(train), list(values(train, "label")), texts, names, seed)
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
        schemes = [
            (positive_weights(scheme, before, sizes[0]), positive_weights(scheme, now, sizes[1]))
            for scheme in CLASS_WEIGHTS
        ]
        return type(self)(**self.options() | {"class_weights": recomputed_weights(self.class_weights, schemes)})

    def step_options(self) -> dict[str, bool]:
        return super().step_options() | {"loss": self.loss_name != "cross_entropy"}

    def require_features(self, classifier: str, strategy: str = "features") -> None:
        super().require_features(classifier, strategy)
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

    _call_options = ", top_k=None"  # by default the pipeline returns the most probable label alone

    def describe(self) -> list[str]:
        thresholds = (f"{inline_code(name)} {threshold:.3f}" for name, threshold in self.thresholds.items())
        return [
            *super().describe(),
            "A text has every label whose probability is at least its threshold, fitted to the validation rows:",
            f"{', '.join(thresholds)}.",
        ]

    def _calibration_formula(self) -> str:
        return (
            "`scaling` in `config.json` holds a and b of each label, whose calibrated probability is\n"
            "sigmoid(a * logit + b)."
        )

    def _validate(self) -> None:
        if len(self.labels) < 2:
            raise OptionError(f"a multi-label head needs two labels or more; got {list(self.labels)}.")
        if self.loss_name == "logit_adjusted":
            raise OptionError(
                "--loss logit_adjusted is for one label a text; for several use --class_weights or --loss focal."
            )
        require_loss(self.loss_name, self.focal_gamma, ("cross_entropy", "focal"))
        require_weights(self.class_weights, self.labels.names)
        for name, threshold in self.thresholds.items():
            if name not in self.labels or not 0 <= threshold <= 1:
                raise OptionError(f"thresholds must be of the labels, in [0, 1]; got {threshold} for {name}.")
        for name, pair in self.scaling.items():
            if name not in self.labels or len(pair) != 2 or not 0 < pair[0] < np.inf:
                raise OptionError(f"scaling must be a and b of the labels, a > 0; got {pair} for {name}.")


def best_threshold(probabilities: np.ndarray, positive: np.ndarray) -> float:
    """The threshold with the best F1, halfway between two probabilities `(rows,)`; of ties the one nearest to 0.5."""
    order = np.argsort(-probabilities, kind="stable")
    ranked, hits = probabilities[order], np.cumsum(positive[order])
    f1 = 2 * hits / (np.arange(1, len(ranked) + 1) + positive.sum())
    below = np.append(ranked[1:], 0.0)
    cuts = np.flatnonzero(ranked > below)  # no threshold parts rows of equal probability
    middles = (ranked[cuts] + below[cuts]) / 2
    best = np.flatnonzero(np.isclose(f1[cuts], f1[cuts].max()))
    return float(middles[best[np.argmin(np.abs(middles[best] - 0.5))]])
