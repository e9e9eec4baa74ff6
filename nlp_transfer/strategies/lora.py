"""Training of adapters in a frozen encoder."""

from __future__ import annotations

import dataclasses
import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from nlp_transfer.config.option_fields import Choice, Range, option
from nlp_transfer.errors import OptionError
from nlp_transfer.strategies.strategy import Stage, Strategy
from nlp_transfer.strategies.strategy_registry import register_strategy

if TYPE_CHECKING:
    from peft import PeftConfig

    from nlp_transfer.encoders.encoder import Encoder
    from nlp_transfer.models.transfer_model import TransferModel

log = logging.getLogger(__name__)

_STARTS = r"true|false|gaussian|orthogonal|olora|pissa(_niter_\d+)?"


@register_strategy
@dataclass
class Lora(Strategy):
    """Low-rank adaptation (Hu et al. 2021) of the encoder's linear layers by PEFT, or what a PEFT config says.

    The head, and what else the checkpoint did not have, trains in full and is saved with the adapter.

    >>> nt.fit(model, splits, strategy=nt.strategies.Lora(lora_r=4, lora_top_layers=2))

    Args:
        lora_r: rank of the two factors.
        lora_alpha: what they add is multiplied by `lora_alpha / lora_r`.
        lora_dropout: on what the adapters are given; on a CPU 0.1 makes a step a fifth longer, and the
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
        OptionError: a value outside its range, or from `setup` a config that the network cannot take.
    """

    name: ClassVar[str] = "lora"
    trains_all_weights: ClassVar[bool] = False
    default_learning_rate: ClassVar[float] = 5e-4
    rate_follows_encoder: ClassVar[bool] = False
    usual_epochs_factor: ClassVar[int] = 2
    works_sharded: ClassVar[bool] = True

    lora_r: int = option(8, help="rank of the adapters.", above=0, search=(4, 8, 16, 32), short=True)
    lora_alpha: float = option(16, help="what adapters add is multiplied by alpha / r.", above=0)
    lora_dropout: float = option(0.0, help="dropout of what adapters are given.", at_least=0, below=1)
    lora_top_layers: int | None = option(
        None, help="layers with adapters, from the top; those below run once.", default_text="all", above=0
    )
    lora_targets: Sequence[str] | str | None = option(
        None,
        help="modules with adapters, by name or its end.",
        default_text="all linear modules of the encoder",
    )
    use_dora: bool = option(False, help="true learns size and direction of weights apart (DoRA).")
    use_rslora: bool = option(False, help="true multiplies by alpha / sqrt(r) (rsLoRA).")
    init_lora_weights: str | bool = option(
        True, help="true, false, gaussian, orthogonal, olora, pissa or pissa_niter_N."
    )
    peft_config: str | None = option(
        None, help="any other PEFT config (IA3, OFT, prefix tuning): JSON, YAML, or an adapter's folder."
    )
    merge_adapter: bool = option(
        False, help="true writes an ordinary model, with the adapter merged, and the adapter beside it."
    )

    def __post_init__(self) -> None:
        if self.peft_config is not None:
            self._refuse_what_the_config_says()
        if isinstance(self.lora_targets, str):
            self.lora_targets = [self.lora_targets]
        if self.lora_targets is not None and not self.lora_targets:
            raise OptionError("--lora_targets names nothing; give names or patterns, or leave it out for all.")
        super().__post_init__()
        if not re.fullmatch(_STARTS, str(self.init_lora_weights).lower()):
            raise OptionError(
                f"--init_lora_weights must be true, false, gaussian, orthogonal, olora, pissa or pissa_niter_N; "
                f"got {self.init_lora_weights}."
            )

    @classmethod
    def search_space(cls, options: Mapping[str, Any], depth: int) -> dict[str, Range | Choice]:
        return {} if options.get("peft_config") else super().search_space(options, depth)

    @classmethod
    def tried_by_auto(cls, rows: int, labels: int) -> bool:
        return True

    def setup(self, model: TransferModel, seed: int) -> None:
        from nlp_transfer.models.adapters.adapter import Adapter
        from nlp_transfer.models.adapters.peft_config import complete_config, read_config

        if model.checkpoint is None:
            raise OptionError("an adapter needs a saved base model: save this model and load that folder.")
        source = f"--peft_config {self.peft_config}" if self.peft_config else f"--strategy {self.name}"
        encoder = model.encoder
        config = read_config(self.peft_config) if self.peft_config else self._lora_config(encoder)
        if config.is_prompt_learning and model.head.take_native():
            log.info("Virtual tokens go with the head of the encoder's family: --pooling native.")
            model.rebuild()
            encoder = model.encoder
        complete_config(config, encoder, model.new_parameters, model.head.peft_task, source)
        if config.is_prompt_learning:
            _require_positions(model, config.num_virtual_tokens)
        adapter = Adapter.put_into(model.network, config, model.checkpoint, source)
        if self.merge_adapter:
            adapter.require_mergeable()
        model.adapter = adapter

    def stages(self, encoder: Encoder, epochs: float, learning_rate: float) -> Sequence[Stage]:
        return [Stage(encoder.frozen_layers, epochs, learning_rate)]

    def start(self, model: TransferModel, stage: Stage) -> None:
        """`setup` has chosen what trains."""

    def finish(self, model: TransferModel) -> None:
        if self.merge_adapter and model.adapter:
            below = model.encoder.frozen_layers
            model.adapter.merge()
            model.encoder.freeze(below)  # the cached activations of these layers stay valid

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
        from torch import nn  # takes a second, and --help loads this file

        from nlp_transfer.models.adapters.adapter_targets import matching_modules, modules_inside

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
        names = modules_inside(encoder, (nn.Linear, nn.Embedding), below)
        return matching_modules(self.lora_targets, names, "--lora_targets")

    def _refuse_what_the_config_says(self) -> None:
        for field in dataclasses.fields(self):
            if field.name not in ("peft_config", "merge_adapter") and getattr(self, field.name) != field.default:
                raise OptionError(f"--{field.name} is what --peft_config says already; give one of them.")


def _require_positions(model: TransferModel, prompts: int) -> None:
    from nlp_transfer.encoders.pretrained import max_positions  # loads torch

    most = max_positions(model.encoder.config) - prompts
    if model.max_length > most:
        raise OptionError(
            f"the {prompts} virtual tokens of --peft_config leave {most} positions for the text, and --max_length is "
            f"{model.max_length}; give fewer of either."
        )
