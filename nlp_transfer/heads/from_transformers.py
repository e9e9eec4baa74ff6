"""The head of a model that was trained with transformers alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nlp_transfer.data.tag_schemes import recognise
from nlp_transfer.encoders.pretrained import Checkpoint
from nlp_transfer.errors import DataError, ModelError
from nlp_transfer.heads.classification import TextClassificationHead
from nlp_transfer.heads.multilabel import MultiLabelHead
from nlp_transfer.heads.ner import NERHead
from nlp_transfer.heads.regression import RegressionHead


def stock_head(checkpoint: Checkpoint) -> dict[str, Any]:
    """The task and head options of a model that `save` did not write, from its architecture and label names."""
    architecture = next(iter(checkpoint.config.architectures or []), "")
    names = [checkpoint.config.id2label[i] for i in range(checkpoint.config.num_labels)]
    if architecture.endswith("ForTokenClassification"):
        try:
            scheme = recognise([[name] for name in names]).scheme  # by E-, S-, L- and U-
        except DataError as error:
            raise ModelError(
                f"{checkpoint.name} has labels that are no tags of entities, such as B-PER: {', '.join(names[:8])}; "
                f"load it with a head: load(name, head=...)."
            ) from error
        types = sorted({name.partition("-")[2] for name in names if name != "O"})
        if scheme in ("IOB1", "IOB2"):  # in IOB2 a type without B- could never be predicted
            scheme = "IOB2" if all(f"B-{kind}" in names for kind in types) else "IOB1"
        return {"task": NERHead.task, "options": {"entity_types": types, "scheme": scheme, "tag_names": names}}
    if architecture.endswith("ForSequenceClassification"):
        return _of_texts(checkpoint.config.problem_type, names)
    raise ModelError(
        f"{checkpoint.name} has no trained head ({architecture}); load it with a head: load(name, head=...)."
    )


def _of_texts(problem_type: str | None, names: Sequence[str]) -> dict[str, Any]:
    if problem_type == RegressionHead.problem_type or (problem_type is None and len(names) == 1):
        # as transformers infers it
        return {"task": RegressionHead.task, "options": {"name": names[0], "pooling": "native"}}
    head = MultiLabelHead if problem_type == MultiLabelHead.problem_type else TextClassificationHead
    return {"task": head.task, "options": {"labels": list(names), "pooling": "native"}}
