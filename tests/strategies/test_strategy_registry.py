"""A strategy is made known by one call, and from then on everything that names strategies knows it."""

from __future__ import annotations

import dataclasses
import pickle
from dataclasses import dataclass
from typing import ClassVar

import pytest

import nlp_transfer as nt
from nlp_transfer.config.option_fields import Range
from nlp_transfer.config.parsing import to_yaml
from nlp_transfer.experiments.candidates import candidates_from
from nlp_transfer.experiments.tune.search_space import space_of, usual
from nlp_transfer.strategies import STRATEGIES, Freeze, Stage, strategy_registry
from nlp_transfer.strategies.strategy_options import declare_options_of
from nlp_transfer.training import fsdp


@dataclass
class TopLayers(nt.Strategy):
    """The head and the layers above one that is named train."""

    name: ClassVar[str] = "top_layers"
    default_learning_rate: ClassVar[float] = 1e-4
    works_sharded: ClassVar[bool] = True

    lowest: int = nt.option(2, help="the lowest layer that trains.", at_least=1, short=True, search=nt.Range(1, 4))
    layer_lr_decay: float = nt.option(0.7, help="factor for each layer down.", above=0)

    def stages(self, encoder, epochs, learning_rate):
        return [Stage(self.lowest, epochs, learning_rate)]


@pytest.fixture
def registered():
    """`TopLayers`, known while a test runs."""
    yield nt.register_strategy(TopLayers)
    del STRATEGIES["top_layers"]
    declare_options_of(STRATEGIES, "auto")


def test_flags_and_files_know_it(registered, tmp_path):
    (options,) = nt.parse([nt.StrategyOptions], None, ["--strategy", "top_layers", "--lowest", "3"])
    assert nt.strategy_from(options) == TopLayers(lowest=3)
    path = tmp_path / "options.yaml"
    path.write_text(to_yaml(options))
    assert nt.parse([nt.StrategyOptions], None, ["--config", str(path)]) == (options,)
    assert "lowest: 3\n" in path.read_text()


def test_help_knows_it(registered, capsys):
    with pytest.raises(SystemExit):
        nt.parse([nt.StrategyOptions], None, ["--help"])
    shown = " ".join(capsys.readouterr().out.split())
    assert "--lowest N top_layers: the lowest layer that trains. (default: 2)" in shown
    assert "(default: full 1, gradual 0.9, top_layers 0.7)" in shown
    assert "scratch, top_layers, auto;" in shown


def test_errors_name_it_and_its_options(registered):
    for call, line in (
        (lambda: nt.strategy_named("top_layer"), "--strategy top_layer is unknown; did you mean top_layers?"),
        (lambda: nt.strategy_named("top_layers", lowest=0), "--lowest must be 1 or more; got 0."),
        (lambda: nt.strategy_named("full", lowest=1), "--lowest is an option of --strategy top_layers, not of full"),
        (
            lambda: nt.strategy_named("auto", lowest=1),
            "--lowest is an option of --strategy top_layers; name the strategy: auto",
        ),
    ):
        with pytest.raises(nt.OptionError) as error:
            call()
        assert line in str(error.value)


def test_compare_and_tune_know_it(registered):
    (candidate, *_) = candidates_from(["top_layers:1"], ["C"])
    assert candidate.make() == TopLayers(lowest=1)
    sent = pickle.dumps(candidate)
    del STRATEGIES["top_layers"]  # as in a process of a comparison, which has not run what registers it
    assert pickle.loads(sent).make() == TopLayers(lowest=1)
    nt.register_strategy(TopLayers)
    assert candidate.flags()[2:] == ["--strategy", "top_layers", "--lowest", "1"]
    space = space_of(
        ["top_layers"], [], nt.StrategyOptions(), nt.TrainingOptions(), width=384, depth=6, usual_epochs=3, rows=90
    )
    assert space["top_layers"]["lowest"] == Range(1, 4)
    assert space["top_layers"]["learning_rate"] == Range(8e-5, 1.6e-3, log=True)
    (first,) = usual(space, nt.StrategyOptions(), nt.TrainingOptions(), 3, 90, width=384, depth=6)
    assert first["top_layers.lowest"] == 2


def test_it_trains_in_shards_if_it_says_so(registered):
    fsdp.refuse_options(nt.TrainingOptions(), TopLayers(), None)
    with pytest.raises(nt.OptionError, match="--strategy l2sp does not work with FSDP shards"):
        fsdp.refuse_options(nt.TrainingOptions(), nt.strategy_named("l2sp"), None)


def test_it_trains(registered, checkpoint, review_splits):
    model = nt.TransferModel.load(checkpoint(), nt.TextClassificationHead(["complaint", "praise"]))
    training = nt.TrainingOptions(max_train_steps=2, mixed_precision="no")
    nt.fit(model, review_splits, training, strategy="top_layers")
    assert model.encoder.frozen_layers == 2


def test_a_name_is_taken_once_and_needed(registered):
    assert nt.register_strategy(TopLayers) is TopLayers  # as when a notebook's cell is run again

    @dataclass
    class Another(nt.Strategy):
        """A strategy with the name of another."""

        name: ClassVar[str] = "freeze"

    @dataclass
    class Nameless(nt.Strategy):
        """A strategy without a name."""

    with pytest.raises(nt.OptionError, match="Another: the name 'freeze' is that of Freeze; choose another one"):
        nt.register_strategy(Another)
    with pytest.raises(nt.OptionError, match="Nameless has no name"):
        nt.register_strategy(Nameless)
    assert STRATEGIES["freeze"] is Freeze


def test_an_option_has_one_type():
    @dataclass
    class Textual(nt.Strategy):
        """A strategy whose option is a number elsewhere."""

        name: ClassVar[str] = "textual"
        lora_r: str = nt.option("eight", help="a rank.")

    with pytest.raises(nt.OptionError, match="--lora_r is an option of --strategy lora already, of another type"):
        nt.register_strategy(Textual)
    assert "textual" not in STRATEGIES


def test_options_are_a_dataclass_like_any_other():
    options = nt.StrategyOptions(strategy="lora", lora_r=4)
    names = [field.name for field in dataclasses.fields(options)]
    assert names[0] == "strategy"
    assert set(names[1:]) == {option for name in STRATEGIES for option in strategy_registry.options_of(name)}
    assert dataclasses.asdict(options) == dict.fromkeys(names) | {"strategy": "lora", "lora_r": 4}
    assert dataclasses.replace(options, lora_r=8) == nt.StrategyOptions(strategy="lora", lora_r=8)
    assert repr(options) == "StrategyOptions(strategy='lora', lora_r=4)"
    assert options != nt.StrategyOptions()
    with pytest.raises(nt.OptionError, match="StrategyOptions has no option 'lora_rank'"):
        nt.StrategyOptions(lora_rank=4)


def test_every_option_of_a_strategy_is_declared():
    for name in STRATEGIES:
        for option, field in strategy_registry.options_of(name).items():
            assert len(field.metadata["help"]) > 10, option
