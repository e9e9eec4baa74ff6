"""The model behind a labelling loop, which is loaded when it is first needed."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property, partial
from typing import TYPE_CHECKING

import numpy as np

from nlp_transfer.errors import ModelError
from nlp_transfer.labelling.kept_vectors import Embed

if TYPE_CHECKING:
    from nlp_transfer.models.transfer_model import TransferModel


class TextEncoder:
    """A model by its name: an encoder, or a trained model, of which a tagger also finds entities.

    Torch is loaded with it, and not before: a round whose vectors are kept needs neither.
    """

    def __init__(self, name: str, max_length: int | None = None, trust_remote_code: bool = False) -> None:
        self.name = name
        self._max_length = max_length
        self._trust_remote_code = trust_remote_code

    @cached_property
    def model(self) -> TransferModel:
        """The model, with the head that it was trained with if it has one for single texts. Raises ModelError."""
        from nlp_transfer.heads import TextClassificationHead
        from nlp_transfer.models.transfer_model import TransferModel
        from nlp_transfer.system import hardware

        hardware.use_cores()
        load = partial(
            TransferModel.load, self.name, max_length=self._max_length, trust_remote_code=self._trust_remote_code
        )
        try:
            model = load()
            if not model.head.pairs:
                return model
        except ModelError as error:
            if "no trained head" not in str(error):
                raise
        return load(head=TextClassificationHead(["no", "yes"]))

    @property
    def is_tagger(self) -> bool:
        """Whether it finds entities."""
        return self.model.head.labels_words

    @property
    def entity_types(self) -> tuple[str, ...]:
        """The types of the entities that a tagger finds."""
        return tuple(getattr(self.model.head, "entity_types", ()))

    def embed_by(self, name: str) -> Embed:
        """What gives vectors by the model of that name: this one, or another one that is loaded when it is used."""
        if name == self.name:
            return self.embed
        return TextEncoder(name, self._max_length, self._trust_remote_code).embed

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """A vector for each text, `(texts, width)`."""
        return self.model.embed(list(texts), progress="vectors")
