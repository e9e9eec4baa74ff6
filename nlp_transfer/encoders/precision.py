"""Computing in half precision: which one a family can use, and networks cast for the time of a prediction."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator

import torch
from torch import Tensor, nn

from nlp_transfer.errors import OptionError
from nlp_transfer.system import hardware

_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}
_FP32_ONLY = ("deberta",)  # whose attention, in transformers, fills with fp32's least number whatever it computes in


def precision_for(family: str, wanted: str) -> str:
    """`no`, `bf16` or `fp16`, as `hardware.precision` has it; `auto` is `no` for a family that computes only in fp32.

    Raises OptionError where such a family is asked for another.
    """
    if family not in _FP32_ONLY or wanted == "no":
        return hardware.precision(wanted)
    if wanted != "auto":
        raise OptionError(f"{family} cannot compute in {wanted} in transformers; give --mixed_precision no.")
    return "no"


@contextlib.contextmanager
def cast_once(modules: Iterable[nn.Module], precision: str) -> Iterator[None]:
    """Cast the weights of linear layers once to the precision that autocast would cast them to in each batch.

    Other modules, and an `Fp32Linear`, are left as they are; so is everything with a `precision` other than `bf16` and
    `fp16`. On exit the original weights are restored, bit for bit.
    """
    dtype = _DTYPES.get(precision)
    linears = [m for m in modules if isinstance(m, nn.Linear) and not isinstance(m, Fp32Linear)] if dtype else []
    originals = [(m.weight.data, None if m.bias is None else m.bias.data) for m in linears]
    try:
        for module in linears:
            module.weight.data = module.weight.data.to(dtype)
            if module.bias is not None:
                module.bias.data = module.bias.data.to(dtype)
        yield
    finally:
        for module, (weight, bias) in zip(linears, originals, strict=True):
            module.weight.data = weight
            if bias is not None:
                module.bias.data = bias


class Fp32Linear(nn.Linear):
    """A linear layer that computes in the precision of its weights, also where autocast asks for half of it.

    For a layer whose output is a number in itself: bf16 has 8 bits, so that next to 1.07 there is 1.0625 and 1.078.
    """

    @classmethod
    def sharing(cls, layer: nn.Linear) -> Fp32Linear:
        """A layer with the weights of `layer`, which it shares."""
        with torch.device("meta"):
            own = cls(layer.in_features, layer.out_features, bias=layer.bias is not None)
        own.weight, own.bias = layer.weight, layer.bias
        return own

    def forward(self, x: Tensor) -> Tensor:
        """`(..., in)` to `(..., out)`."""
        with torch.autocast(x.device.type, enabled=False):
            return super().forward(x.to(self.weight.dtype))


@contextlib.contextmanager
def computing_in(network: nn.Module, precision: str) -> Iterator[None]:
    """Inside, `network` computes in `precision`: `no` (as it is), `bf16` or `fp16`."""
    device = next(network.parameters()).device.type
    with cast_once(network.modules(), precision), torch.autocast(device, _DTYPES.get(precision), precision in _DTYPES):
        yield
