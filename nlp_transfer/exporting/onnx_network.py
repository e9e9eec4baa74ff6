"""The network of a model as an ONNX file."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import torch
from torch import Tensor, nn

from nlp_transfer.data.long_texts import gives_types_of_pairs
from nlp_transfer.encoders.sklearn_head.sklearn_network import ShallowClassifier
from nlp_transfer.errors import ModelError, OptionError
from nlp_transfer.models.inference import last_states
from nlp_transfer.models.transfer_model import TransferModel

_OPSET = 17


def write_onnx(model: TransferModel, path: Path) -> None:
    """Write the network of a model, in fp32, for batches and texts of any size up to the encoder's positions.

    Its inputs are `inputs_of(model)`, its outputs are `logits`, and `states`, what the last layer reads, where unknown
    texts are told by these. Raises OptionError for a head of scikit-learn that no
    network computes, ModelError where the network has a part that ONNX lacks.
    """
    require_network(model)
    network = model.network.float().cpu().eval()
    names = inputs_of(model)
    batch = _sample(model, names)
    sizes = {name: {0: "batch", 1: "tokens"} for name in names}
    sizes["logits"] = sizes["input_ids"] if model.head.labels_words else {0: "batch"}
    outputs = ["logits"]
    if model.rejection and model.rejection.reads_states:
        outputs.append("states")
        sizes["states"] = {0: "batch"}
    try:
        with torch.inference_mode(), _quiet():
            torch.onnx.export(
                _Outputs(
                    network, names, len(outputs) > 1
                ).eval(),  # in training mode the exporter would leave the network so
                tuple(batch[name] for name in names),
                str(path),
                input_names=list(names),
                output_names=outputs,
                dynamic_axes=sizes,
                opset_version=_OPSET,
                dynamo=False,
            )
    except Exception as error:  # torch raises many kinds, for operators that ONNX lacks and for code it cannot trace
        reason = " ".join(str(error).split())
        raise ModelError(
            f"the {model.encoder.family} network cannot be written as ONNX by torch {torch.__version__}: {reason[:200]}"
        ) from error


def require_network(model: TransferModel) -> None:
    """Raise OptionError for a head that is not part of a network, and for one without a decoder."""
    if isinstance(model.network, ShallowClassifier):
        name = type(model.network.classifier[-1]).__name__
        raise OptionError(
            f"its head is a classifier of scikit-learn ({name}), which no ONNX network computes; train with "
            f"--classifier {model.head.classifiers[0]}, or with another --strategy."
        )
    if model.head.decoder() is None:
        raise OptionError(
            f"the head of the task '{model.head.task}' has no decoder, which an export needs; give it one "
            f"(TaskHead.decoder)."
        )


def inputs_of(model: TransferModel) -> tuple[str, ...]:
    """The names of the network's inputs: token types where pairs of texts have them."""
    has_types = model.head.pairs and gives_types_of_pairs(model.tokenizer)
    return ("input_ids", "attention_mask", *["token_type_ids"] * has_types)


class _Outputs(nn.Module):
    """A network that takes its inputs by place, and gives its logits alone, or with the states of the last layer."""

    def __init__(self, network: nn.Module, names: tuple[str, ...], with_states: bool) -> None:
        super().__init__()
        self.network = network
        self.names = names
        self.with_states = with_states

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        states: list[Tensor] = []
        with last_states(self.network, states) if self.with_states else nullcontext():
            logits: Tensor = self.network(**dict(zip(self.names, inputs, strict=True))).logits
        return (logits.float(), *(state.float() for state in states))


def _sample(model: TransferModel, names: tuple[str, ...]) -> dict[str, Tensor]:
    """Two rows of tokens, the second padded: where none is, networks leave their masks out, and so would the trace."""
    tokens = model.tokenizer("a b c d e f g")["input_ids"][: model.max_length]
    tokens = (tokens * 3)[: max(3, min(9, model.max_length))]
    ids = torch.tensor([tokens, tokens])
    mask = torch.ones_like(ids)
    mask[1, -1] = 0
    ids[1, -1] = model.pad_id
    types = torch.zeros_like(ids)
    types[:, -2:] = 1
    return {"input_ids": ids, "attention_mask": mask, "token_type_ids": types}


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the warnings of the tracer: that sizes of the sample are constants is seen by the comparison."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "transformers")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
