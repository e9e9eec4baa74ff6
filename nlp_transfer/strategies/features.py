"""Fit of a scikit-learn classifier to the features of a frozen encoder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from nlp_transfer.config.option_fields import option
from nlp_transfer.encoders.sklearn_head.classifiers import CLASSIFIERS, LINEAR
from nlp_transfer.strategies.strategy import Stage, Strategy
from nlp_transfer.strategies.strategy_registry import register_strategy

if TYPE_CHECKING:
    from nlp_transfer.data.inputs import Inputs
    from nlp_transfer.encoders.encoder import Encoder
    from nlp_transfer.models.transfer_model import TransferModel


@register_strategy
@dataclass
class Features(Strategy):
    """Feature extraction: one vector of each text, or of each word, and a classifier that is fitted to all at once.

    A text's vector is pooled as the head says, `native` meaning `mean`; a word's is the state of its first subword.
    A linear classifier ends as the last layer of an ordinary network, any other in a `ShallowClassifier`. Several
    labels of a text are fitted one by one, by a linear classifier, and a number by ridge regression.

    >>> nt.fit(model, splits, strategy=nt.strategies.Features(classifier="svm"))

    Args:
        classifier: logistic, linear_svm, svm (with an RBF kernel), random_forest or knn. Its regularisation is chosen
            by cross-validation on the training rows.

    Raises:
        OptionError: an unknown classifier, an option of the head that nothing here heeds, or skops not installed.
        ModelError: a linear classifier for an encoder whose family tags words by more than a linear layer.
    """

    name: ClassVar[str] = "features"
    trains_all_weights: ClassVar[bool] = False
    trains_by_steps: ClassVar[bool] = False
    works_sharded: ClassVar[bool] = True

    classifier: str = option(
        "logistic",
        help="classifier of scikit-learn; its regularisation is chosen by cross-validation on the training rows.",
        choices=CLASSIFIERS,
        search=LINEAR,
        short=True,
    )

    def setup(self, model: TransferModel, seed: int) -> None:
        from nlp_transfer.strategies.feature_extraction import build_network  # loads torch

        self._seed = seed
        model.head.require_features(self.classifier)
        build_network(model, self.classifier)

    def stages(self, encoder: Encoder, epochs: float, learning_rate: float) -> Sequence[Stage]:
        return [Stage(encoder.depth, 0, learning_rate)]

    def initialise(self, model: TransferModel, train: Inputs) -> None:
        from nlp_transfer.strategies.feature_extraction import fit_network  # loads torch

        fit_network(model, train, self.classifier, self._seed)
