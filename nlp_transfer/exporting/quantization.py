"""Dynamic int8 of an ONNX network, layer by layer."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
import onnxruntime
from onnx import numpy_helper
from onnxruntime.quantization import QuantType, quantize_dynamic

_WEIGHT_OF = {"MatMul": 1, "Gather": 0}
"""Operator that is quantised -> which of its inputs is the weight: linear layers and embeddings."""


class Layer(NamedTuple):
    """A layer that can be quantised: the name of its node, and what it is called in the network."""

    node: str
    name: str
    operator: str
    input: str
    weight: str


def layers_of(path: Path) -> list[Layer]:
    """The linear layers and embeddings of an ONNX network, in its order."""
    graph = onnx.load(str(path)).graph
    weights = {one.name for one in graph.initializer if len(one.dims) == 2 and one.data_type == onnx.TensorProto.FLOAT}
    layers = []
    for node in graph.node:
        place = _WEIGHT_OF.get(node.op_type)
        if place is not None and node.input[place] in weights:
            name = ".".join(node.name.strip("/").split("/")[:-1]).removeprefix("network.") or node.name
            layers.append(Layer(node.name, name, node.op_type, node.input[1 - place], node.input[place]))
    return layers


def quantize(source: Path, target: Path, kept: Collection[Layer], reduce_range: bool) -> None:
    """Write an ONNX network in dynamic int8, weights per channel, all but the layers that are `kept` in fp32.

    With `reduce_range` weights have 7 bits: without instructions for it, products of 8 bits overflow in 16.
    """
    with _quiet():
        quantize_dynamic(
            source,
            target,
            op_types_to_quantize=list(_WEIGHT_OF),
            nodes_to_exclude=[layer.node for layer in kept],
            per_channel=True,
            reduce_range=reduce_range,
            weight_type=QuantType.QInt8,
        )


def layer_errors(
    path: Path, layers: Collection[Layer], batch: dict[str, np.ndarray], reduce_range: bool
) -> dict[Layer, float]:
    """How much of the output of each layer is lost where it alone is quantised: the norm of the error over that of the
    output, on one batch.

    It is computed here, from the inputs of the layers in fp32, so that the network runs once for all of them.
    """
    network = onnx.load(str(path))
    weights = {one.name: one for one in network.graph.initializer}
    outputs = {layer.input for layer in layers if layer.operator == "MatMul"}
    network.graph.output.extend(onnx.ValueInfoProto(name=name) for name in sorted(outputs))
    session = onnxruntime.InferenceSession(network.SerializeToString(), _options(), providers=["CPUExecutionProvider"])
    inputs = {one.name: batch[one.name] for one in session.get_inputs()}
    states = dict(zip(sorted(outputs), session.run(sorted(outputs), inputs), strict=True))
    errors = {}
    for layer in layers:
        weight = numpy_helper.to_array(weights[layer.weight])
        if layer.operator == "Gather":
            exact, rounded = weight, _rounded_weight(weight, None, False)
        else:
            state = states[layer.input].reshape(-1, weight.shape[0])
            exact = state @ weight
            rounded = _rounded_state(state) @ _rounded_weight(weight, 0, reduce_range)
        errors[layer] = float(np.linalg.norm(rounded - exact) / (np.linalg.norm(exact) or 1.0))
    return errors


def _rounded_state(values: np.ndarray) -> np.ndarray:
    """What 8 bits leave of values: 256 steps between the least and the greatest of all of them."""
    low, high = min(float(values.min()), 0.0), max(float(values.max()), 0.0)
    step = (high - low) / 255 or 1.0
    zero = round(-low / step)
    return (np.clip(np.round(values / step) + zero, 0, 255) - zero) * step


def _rounded_weight(values: np.ndarray, axis: int | None, reduce_range: bool) -> np.ndarray:
    """What 8 bits, or 7, leave of a weight, each column by itself where `axis` is that of its rows."""
    most = 64 if reduce_range else 127
    step = np.abs(values).max(axis=axis, keepdims=True) / most
    step = np.where(step == 0, 1.0, step)
    return np.round(values / step) * step


def _options() -> Any:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    return options


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the advice to infer shapes first, which dynamic quantisation does not need."""
    root, handler = logging.getLogger(), logging.NullHandler()
    level = root.level
    root.addHandler(handler)  # `logging.warning`, which onnxruntime calls, would else put one there that stays
    root.setLevel(logging.ERROR)
    try:
        yield
    finally:
        root.setLevel(level)
        root.removeHandler(handler)
