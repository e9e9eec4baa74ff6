"""Adapters train, and the network that they stand in stays as it was pretrained."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from torch import nn

from nlp_transfer.encoders.encoder import Encoder
from nlp_transfer.encoders.pretrained import max_positions
from nlp_transfer.errors import OptionError
from nlp_transfer.heads import NERHead
from nlp_transfer.models.adapters.adapter import Adapter
from nlp_transfer.models.adapters.adapter_targets import modules_inside, named
from nlp_transfer.models.adapters.peft_config import fit_to, read_config
from nlp_transfer.models.transfer_model import TransferModel
from nlp_transfer.strategies.strategy import Stage, Strategy

if TYPE_CHECKING:
    from peft import PeftConfig

_STARTS = r"true|false|gaussian|orthogonal|olora|pissa(_niter_\d+)?"


@dataclass
class Lora(Strategy):
    """Low-rank adaptation (Hu et al. 2021) of the encoder's linear layers by PEFT, or what a PEFT config says.

    The head, and what else the checkpoint did not have, trains whole and is saved with the adapter.

    >>> nt.fit(model, splits, strategy=nt.strategies.Lora(lora_r=4, lora_top_layers=2))

    Args:
        lora_r: the rank of the two factors.
        lora_alpha: what they add is multiplied by `lora_alpha / lora_r`.
        lora_dropout: on what the adapters are given. 0 by default: on a CPU 0.1 makes a step a fifth longer, and the
            encoder has its own.
        lora_top_layers: layers that are adapted, counted from the top; those below run once. None: the whole encoder.
        lora_targets: names of linear or embedding modules, their ends (`query`), or patterns (`*.attention.*.dense`);
            None: every linear module of the encoder.
        use_dora: learn size and direction apart (Liu et al. 2024).
        use_rslora: multiply by `lora_alpha / sqrt(lora_r)` (Kalajdzievski 2023).
        init_lora_weights: true, false, gaussian, orthogonal, olora, pissa or pissa_niter_N.
        peft_config: a JSON or YAML file, or a folder with adapter_config.json, in place of all the options above.
        merge_adapter: whether the network ends as an ordinary one, with what was learned in its weights.

    Raises:
        OptionError: a value outside what is said above, or a config that the network cannot take.
    """

    name: ClassVar[str] = "lora"
    default_learning_rate: ClassVar[float] = 5e-4

    lora_r: int = 8
    lora_alpha: float = 16
    lora_dropout: float = 0.0
    lora_top_layers: int | None = None
    lora_targets: Sequence[str] | str | None = None
    use_dora: bool = False
    use_rslora: bool = False
    init_lora_weights: str | bool = True
    peft_config: str | None = None
    merge_adapter: bool = False

    def __post_init__(self) -> None:
        if self.peft_config is not None:
            self._refuse_what_the_config_says()
        if isinstance(self.lora_targets, str):
            self.lora_targets = [self.lora_targets]
        if self.lora_targets is not None and not self.lora_targets:
            raise OptionError("--lora_targets names nothing; give names or patterns, or leave it out for all.")
        for option in ("lora_r", "lora_alpha", "lora_top_layers"):
            value = getattr(self, option)
            if value is not None and not value > 0:
                raise OptionError(f"--{option} must be more than 0; given was {value}.")
        if not 0 <= self.lora_dropout < 1:
            raise OptionError(f"--lora_dropout must lie in [0, 1); given was {self.lora_dropout:g}.")
        if not re.fullmatch(_STARTS, str(self.init_lora_weights).lower()):
            raise OptionError(
                f"--init_lora_weights must be true, false, gaussian, orthogonal, olora, pissa or pissa_niter_N; given "
                f"was {self.init_lora_weights}."
            )

    def setup(self, model: TransferModel, seed: int) -> None:
        if model.checkpoint is None:
            raise OptionError(
                "an adapter is saved with the name of what it stands on, and no checkpoint holds this model as it is: "
                "save it, and load that folder."
            )
        said = f"--peft_config {self.peft_config}" if self.peft_config else f"--strategy {self.name}"
        encoder = model.encoder
        config = read_config(self.peft_config) if self.peft_config else self._lora_config(encoder)
        fit_to(
            config, encoder, model.new_parameters, "TOKEN_CLS" if isinstance(model.head, NERHead) else "SEQ_CLS", said
        )
        if config.is_prompt_learning:
            _require_positions(model, config.num_virtual_tokens)
        adapter = Adapter.put_into(model.network, config, model.checkpoint, said)
        if self.merge_adapter:
            adapter.require_mergeable()
        model.adapter = adapter

    def stages(self, encoder: Encoder, epochs: float, learning_rate: float) -> Sequence[Stage]:
        return [Stage(encoder.frozen_layers, epochs, learning_rate)]

    def start(self, model: TransferModel, stage: Stage) -> None:
        """What trains has been said by `setup`."""

    def finish(self, model: TransferModel) -> None:
        if self.merge_adapter and model.adapter:
            below = model.encoder.frozen_layers
            model.adapter.merge()
            model.encoder.freeze(below)  # what has been scored on kept states goes on being scored on them

    def _lora_config(self, encoder: Encoder) -> PeftConfig:
        from peft import LoraConfig  # takes a second

        start = str(self.init_lora_weights).lower()
        return LoraConfig(
            r=self.lora_r,
            lora_alpha=self.lora_alpha,
            lora_dropout=self.lora_dropout,
            target_modules=self._targets(encoder),
            use_dora=self.use_dora,
            use_rslora=self.use_rslora,
            init_lora_weights={"true": True, "false": False}.get(start, start),
        )

    def _targets(self, encoder: Encoder) -> list[str]:
        below = 0
        if self.lora_top_layers is not None:
            if encoder.shares_layers:
                raise OptionError(
                    f"--lora_top_layers: {encoder.family} shares one layer between all depths, so none of them can be "
                    f"adapted alone; leave it out."
                )
            if self.lora_top_layers > encoder.depth:
                raise OptionError(
                    f"--lora_top_layers {self.lora_top_layers} is more than the {encoder.depth} layers that this "
                    f"{encoder.family} encoder has."
                )
            below = encoder.depth - self.lora_top_layers
        if self.lora_targets is None:
            return modules_inside(encoder, nn.Linear, below)
        return named(self.lora_targets, modules_inside(encoder, (nn.Linear, nn.Embedding), below), "--lora_targets")

    def _refuse_what_the_config_says(self) -> None:
        for field in dataclasses.fields(self):
            if field.name not in ("peft_config", "merge_adapter") and getattr(self, field.name) != field.default:
                raise OptionError(f"--{field.name} is what --peft_config says already; give one of them.")


def _require_positions(model: TransferModel, prompts: int) -> None:
    most = max_positions(model.encoder.config) - prompts
    if model.max_length > most:
        raise OptionError(
            f"the {prompts} virtual tokens of --peft_config leave {most} positions for the text, and --max_length is "
            f"{model.max_length}; give fewer of either."
        )
