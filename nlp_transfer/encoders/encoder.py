"""The encoder inside a network, its layers, and which of them are frozen."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from torch import nn
from transformers import AutoModel, PreTrainedConfig, PreTrainedModel

from nlp_transfer.encoders.pretrained import Checkpoint, freeze_constants
from nlp_transfer.errors import ModelError, OptionError

_ABOVE_THE_LAYERS = ("pooler", "final_norm", "norm")  # children of a base model that act on the last layer's output


class Encoder:
    """A view on the encoder inside a `PreTrainedModel`; it owns no weights.

    >>> encoder = Encoder.load("all-MiniLM-L6-v2")
    >>> encoder.family, encoder.depth, encoder.width
    ('bert', 6, 384)

    `layers` holds the transformer layers, bottom first. Families that share one layer between all depths (ALBERT)
    have fewer entries there than `depth`. `new` names the weights of the network that no checkpoint has given: a pooler
    of such weights belongs to the head, and trains with it.
    """

    def __init__(self, network: PreTrainedModel, new: Collection[str] = ()) -> None:
        self.network = network
        self._new = {id(p): name for name, p in network.named_parameters() if name in new}
        self.base: nn.Module = network.base_model
        # In a network with a head of ours, the base model is a model with a config of its own.
        self.config: PreTrainedConfig = getattr(self.base, "config", network.config)
        self.family: str = self.config.model_type
        self.depth: int = self.config.num_hidden_layers
        self.width: int = self.config.hidden_size
        self.layers: Sequence[nn.Module] = _layers(self.base, self.depth, self.family)

    @classmethod
    def load(cls, name_or_path: str, *, revision: str | None = None, trust_remote_code: bool = False) -> Encoder:
        """Load an encoder without a head. Raises ModelError where `Checkpoint.find` or the weights do."""
        checkpoint = Checkpoint.find(name_or_path, revision=revision, trust_remote_code=trust_remote_code)
        return cls(checkpoint.load(AutoModel).network)

    @property
    def shares_layers(self) -> bool:
        """True where several depths use the same weights (ALBERT), so that no depth can be frozen alone."""
        return len(self.layers) != self.depth

    @property
    def parameter_count(self) -> int:
        """How many weights the encoder has, each counted once."""
        return sum(p.numel() for p in self.base.parameters())

    @property
    def trainable_count(self) -> int:
        """How many of them are being trained."""
        return sum(p.numel() for p in self.base.parameters() if p.requires_grad)

    def freeze(self, below: int) -> None:
        """Freeze the embeddings and the layers under `below`, and let the others train.

        `below=0` trains everything; `below=depth` freezes the whole encoder, its last norm too, and its pooler unless
        that is new. Position weights that all layers share (DeBERTa, MPNet) are frozen as soon as one layer is: they
        would change the output of the frozen layers. Raises OptionError for a depth that the encoder does not have, or
        that cannot be frozen alone.
        """
        self.require_freezable(below)
        for parameter in self.base.parameters():
            parameter.requires_grad = below == 0
        for live in self.above(below) if below else ():
            for parameter in live.parameters():
                parameter.requires_grad = True
        freeze_constants(self.base)

    def require_freezable(self, below: int) -> None:
        """Raise OptionError for a depth that `freeze` cannot freeze."""
        if not 0 <= below <= self.depth:
            raise OptionError(f"cannot freeze {below} layers: this {self.family} encoder has {self.depth}.")
        if self.shares_layers and 0 < below < self.depth:
            raise OptionError(
                f"{self.family} shares one layer between all depths, so {below} of {self.depth} layers cannot be "
                f"frozen alone; freeze none or all {self.depth}."
            )
        if below and (lost := self._new_below_the_pooler):
            raise OptionError(
                f"the checkpoint has no {lost}, which is random and has to train with all that follows it; take "
                f"--strategy full, or give a checkpoint that has it."
            )

    def above(self, depth: int) -> Sequence[nn.Module]:
        """The modules that act on the input of layer `depth`: that layer, those above it, pooler and last norm.

        At the encoder's own depth it is a new pooler alone, if there is one.
        """
        if depth == self.depth:
            return () if self.new_pooler is None else (self.new_pooler,)
        return (*self.layers[depth:], *self.ends)

    @property
    def ends(self) -> Sequence[nn.Module]:
        """The modules of the encoder that act on the output of its last layer: a pooler, a last norm."""
        return [child for name, child in self.base.named_children() if name in _ABOVE_THE_LAYERS]

    @property
    def new_pooler(self) -> nn.Module | None:
        """The pooler, if the checkpoint did not have it."""
        pooler = getattr(self.base, "pooler", None)
        is_new = isinstance(pooler, nn.Module) and any(id(p) in self._new for p in pooler.parameters())
        return pooler if is_new else None

    @property
    def _new_below_the_pooler(self) -> str:
        """The name of a weight of the encoder itself that is new, or ""."""
        pooler = {id(p) for p in self.new_pooler.parameters()} if self.new_pooler else set()
        return next((self._new[id(p)] for p in self.base.parameters() if id(p) in self._new.keys() - pooler), "")

    @property
    def frozen_layers(self) -> int:
        """How many layers from the bottom are frozen, with the embeddings: `freeze` of as many would change nothing."""
        for depth in range(self.depth, 0, -1):
            live = {id(p) for module in self.above(depth) for p in module.parameters()}
            if not any(p.requires_grad and id(p) not in live for p in self.base.parameters()):
                return depth
        return 0


def _layers(base: nn.Module, depth: int, family: str) -> Sequence[nn.Module]:
    """The outermost `ModuleList` of a base model that is as long as the encoder is deep."""
    lists = [(name.count("."), module) for name, module in base.named_modules() if isinstance(module, nn.ModuleList)]
    outermost = min((level for level, _ in lists), default=0)
    candidates = [module for level, module in lists if level == outermost]
    if len(candidates) != 1 or (len(candidates[0]) != depth and family != "albert"):
        raise ModelError(
            f"a {family} network does not keep its layers in one list, so its layers cannot be frozen or trained apart."
        )
    return list(candidates[0])
