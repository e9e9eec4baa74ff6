"""Fine-tuning with a penalty on the distance from the pretrained weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from nlp_transfer.config.option_fields import Range, option
from nlp_transfer.strategies.param_groups import ParamGroup
from nlp_transfer.strategies.strategy import Part, Stage, Strategy
from nlp_transfer.strategies.strategy_registry import register_strategy

if TYPE_CHECKING:
    from torch import Tensor, nn

    from nlp_transfer.models.transfer_model import TransferModel


@register_strategy
@dataclass
class L2SP(Strategy):
    """L2-SP (Li et al. 2018, "Explicit inductive bias for transfer learning with convolutional networks").

    The loss is that of the task + alpha/2 * ||w - w0||^2 for weights w that the checkpoint gave as w0, + beta/2 *
    ||v||^2 for new weights v. It stands in place of AdamW's own decay, which would pull towards zero, and like that it
    leaves biases and norms alone.

    >>> nt.fit(model, splits, strategy=nt.strategies.L2SP(l2sp_alpha=0.1))

    Args:
        l2sp_alpha: pull towards the start. MiniLM on 200 rows, 130 steps at 5e-5, ended nearer to its start than
            without a pull by 11% at 0.01, 24% at 0.03, 42% at 0.1 and 70% at 0.3, where it hardly learned.
        l2sp_beta: pull of new weights towards zero.
    """

    name: ClassVar[str] = "l2sp"

    l2sp_alpha: float = option(
        0.03,
        help="pull towards the pretrained weights.",
        at_least=0,
        search=Range(0.003, 0.3, log=True),
        short=True,
    )
    l2sp_beta: float = option(0.01, help="pull of new weights towards zero.", at_least=0)

    def __post_init__(self) -> None:
        super().__post_init__()
        self._origins: dict[str, Tensor] = {}

    def start(self, model: TransferModel, stage: Stage) -> None:
        super().start(model, stage)
        self._origins = {
            name: parameter.detach().clone()
            for name, parameter in model.network.named_parameters()
            if parameter.requires_grad and parameter.ndim > 1 and name not in model.new_parameters
        }

    def groups(self, model: TransferModel, learning_rate: float, weight_decay: float) -> list[ParamGroup]:
        return super().groups(model, learning_rate, weight_decay=0.0)

    def loss(
        self, model: TransferModel, module: nn.Module, batch: dict[str, Tensor], labels: Tensor, part: Part
    ) -> Tensor:
        loss = super().loss(model, module, batch, labels, part)
        # Once a step, by one of its parts: it costs a pass over all weights.
        return loss + self.penalty(model.network) if part.index == 0 else loss

    def penalty(self, network: nn.Module) -> Tensor:
        """What the distance of a network's weights from their start costs."""
        import torch.nn.functional as F  # torch takes a second, and --help loads this file

        terms = []
        for name, parameter in network.named_parameters():
            # A key's bias has no gradient but rounding; a pull on it would be blown up by Adam to steps of full size.
            if parameter.ndim < 2 or not parameter.requires_grad:
                continue
            if name in self._origins:
                # The network moves to its device after `start`.
                origin = self._origins[name] = self._origins[name].to(parameter.device)
                terms.append(self.l2sp_alpha / 2 * F.mse_loss(parameter, origin, reduction="sum"))
            else:
                terms.append(self.l2sp_beta / 2 * parameter.square().sum())
        return sum(terms[1:], terms[0])

    def finish(self, model: TransferModel) -> None:
        self._origins = {}
