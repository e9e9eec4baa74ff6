"""A model trained for one task is the start of another: its encoder is reused, its head only with `keep_head`."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
from conftest import FAMILIES, run_recipe

import nlp_transfer as nt

HEADS = {
    "native": lambda labels: nt.TextClassificationHead(labels),
    "pooled": lambda labels: nt.TextClassificationHead(labels, pooling="mean", hidden=(16,)),
    "sentiment": lambda labels: nt.SentimentHead(labels),
    "ner": lambda labels: nt.NERHead(labels),
}


def named(network):
    return dict(network.named_parameters())


def inside(network):
    """The weights of the encoder, by their names in it."""
    return dict(network.base_model.named_parameters())


def outside(network):
    encoder = {id(p) for p in network.base_model.parameters()}
    return {name: p for name, p in named(network).items() if id(p) not in encoder}


def output(network):
    """The weights of the layer that gives the logits, rows first."""
    matrices = [(n, p) for n, p in outside(network).items() if p.ndim == 2]
    name = matrices[-1][0].removesuffix(".weight")
    return named(network)[f"{name}.weight"], named(network)[f"{name}.bias"]


@pytest.fixture(scope="session")
def trained(checkpoint, tmp_path_factory):
    """`trained(family, head, labels)` is a saved model with weights of its own everywhere, and its folder."""
    made = {}

    def make(family, head, *labels):
        key = (family, head, labels)
        if key not in made:
            model = nt.TransferModel.load(checkpoint(family), HEADS[head](labels))
            torch.manual_seed(1)
            with torch.no_grad():
                for parameter in model.network.parameters():
                    parameter.add_(torch.randn_like(parameter), alpha=0.5)
            folder = tmp_path_factory.mktemp(f"{family}-{head}")
            model.save(folder)
            made[key] = (model, folder)
        return made[key]

    return make


def assert_same_encoder(model, earlier, at_least=10):
    """The weights of the encoder that are not new are those of the earlier model."""
    theirs, count = inside(earlier.network), 0
    names = {id(p): name for name, p in named(model.network).items()}
    for name, parameter in inside(model.network).items():
        if names[id(parameter)] not in model.new_parameters:
            assert torch.equal(parameter, theirs[name]), name
            count += 1
    assert count >= at_least


@pytest.mark.thinned(0.4)
@pytest.mark.parametrize("head", ["native", "ner"])
@pytest.mark.parametrize("family", FAMILIES)
def test_other_labels_never_inherit_rows(trained, family, head):
    """Both heads have the same shape, in which transformers would load the old one without a word."""
    earlier, folder = trained(family, head, "A", "B")
    model = nt.TransferModel.load(folder, HEADS[head](("C", "D")))
    assert_same_encoder(model, earlier)
    theirs = named(earlier.network)
    for name, parameter in outside(model.network).items():
        assert name in model.new_parameters
        assert parameter.shape == theirs[name].shape
        assert not torch.equal(parameter, theirs[name])
    assert output(model.network)[0].std() < 0.25  # of a fresh layer, where what was trained has 0.5


@pytest.mark.parametrize("second", HEADS)
@pytest.mark.parametrize("first", HEADS)
def test_every_head_goes_onto_the_encoder_of_every_other(trained, caplog, first, second):
    earlier, folder = trained("bert", first, "A", "B")
    with caplog.at_level("INFO", "nlp_transfer"):
        model = nt.TransferModel.load(folder, HEADS[second](("A", "B")))
    assert_same_encoder(model, earlier)
    assert {*outside(model.network)} <= model.new_parameters
    (line,) = caplog.messages
    assert line.startswith(f"The head of {folder} is dropped (labels: {', '.join(earlier.head.labels)}; weights: ")
    assert "classifier.weight" in line
    texts = ["the coffee was good", "Anna was in Oslo"]
    assert len(model.predict(texts)) == 2
    assert model.max_length == earlier.max_length == 66


def test_an_encoder_drops_nothing(checkpoint, caplog):
    with caplog.at_level("INFO", "nlp_transfer"):
        nt.TransferModel.load(checkpoint(), HEADS["native"](("A", "B")))
    assert caplog.messages == []


def test_a_head_whose_architecture_the_config_does_not_name_is_dropped_too(trained, tmp_path):
    earlier, _ = trained("bert", "native", "A", "B")
    earlier.save(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    del config["architectures"]
    (tmp_path / "config.json").write_text(json.dumps(config))
    model = nt.TransferModel.load(tmp_path, HEADS["native"](("C", "D")))
    assert_same_encoder(model, earlier)
    assert not torch.equal(output(model.network)[0], output(earlier.network)[0])


@pytest.mark.thinned(0.4)
@pytest.mark.parametrize("head", ["native", "sentiment", "pooled", "ner"])
@pytest.mark.parametrize("family", ["bert", "roberta", "modernbert", "deberta-v2", "distilbert", "camembert"])
def test_rows_of_the_same_name_and_layers_below_them_are_kept(trained, caplog, family, head):
    earlier, folder = trained(family, head, "A", "B")
    with caplog.at_level("INFO", "nlp_transfer"):
        model = nt.TransferModel.load(folder, HEADS[head](("C", "B", "D")), keep_head=True)
    assert_same_encoder(model, earlier)
    old, new = earlier.head.labels, model.head.labels
    shared = [name for name in new if name in old]
    for mine, theirs in zip(output(model.network), output(earlier.network), strict=True):
        for name in new:
            row = mine[new.id(name)]
            assert (name in old) == any(torch.equal(row, other) for other in theirs)
            if name in old:
                assert torch.equal(row, theirs[old.id(name)])
    last = {id(p) for p in output(model.network)}
    for name, parameter in outside(model.network).items():
        assert (name in model.new_parameters) == (id(parameter) in last)
        if id(parameter) not in last:
            assert torch.equal(parameter, named(earlier.network)[name])
    (line,) = caplog.messages
    assert line.startswith(
        f"Reusing from the head of {folder}: {len(shared)} of the {len(new)} labels ({', '.join(shared)})"
    )
    below = [name for name, p in outside(model.network).items() if id(p) not in last]
    assert all(name in line for name in below)
    assert line.endswith("are new.")


def test_with_all_labels_kept_nothing_is_new_and_the_order_may_differ(trained, caplog):
    earlier, folder = trained("bert", "native", "A", "B")
    with caplog.at_level("INFO", "nlp_transfer"):
        model = nt.TransferModel.load(folder, HEADS["native"](("B", "A")), keep_head=True)
    assert model.new_parameters == frozenset()
    assert caplog.messages == [f"Reusing from the head of {folder}: 2 of the 2 labels (B, A)."]
    for text in ("the coffee was good", "Anna"):
        (mine,), (theirs,) = model.predict([text]), earlier.predict([text])
        assert mine.probabilities == pytest.approx(dict(theirs.probabilities), abs=1e-6)


def refusal(folder, head):
    with pytest.raises(nt.OptionError) as refused:
        nt.TransferModel.load(folder, head, keep_head=True)
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_what_cannot_be_kept_is_one_line(trained, checkpoint):
    _, folder = trained("bert", "native", "A", "B")
    assert refusal(folder, HEADS["native"](("a", "b", "c"))) == (
        f"--keep_head: no label has the same name in {folder} (A, B) and in the data (a, b, c); leave --keep_head out."
    )
    assert refusal(checkpoint(), HEADS["native"](("A", "B"))).startswith(
        f"--keep_head: {checkpoint()} has no trained head, and this network is a BertForSequenceClassification;"
    )
    for head in ("ner", "pooled"):
        assert "has a head of another kind (BertForSequenceClassification)" in refusal(folder, HEADS[head](("A", "B")))
    _, pooled = trained("bert", "pooled", "A", "B")
    wider = nt.TextClassificationHead(["A", "B"], pooling="mean", hidden=(8,))
    assert "does not fit this head; give the --pooling and --hidden" in refusal(pooled, wider)


def test_a_head_whose_weights_are_missing_cannot_be_kept(checkpoint, trained, tmp_path):
    trained("bert", "native", "A", "B")[0].save(tmp_path)
    shutil.copy(f"{checkpoint()}/model.safetensors", tmp_path / "model.safetensors")
    with pytest.raises(nt.ModelError, match=r"lacks weights of its head: classifier\.bias, classifier\.weight;"):
        nt.TransferModel.load(tmp_path, HEADS["native"](("A", "B")), keep_head=True)


def test_what_is_saved_after_a_change_of_task_opens_like_any_other(trained, tmp_path):
    _, folder = trained("bert", "pooled", "A", "B")
    assert nt.TransferModel.load(folder, HEADS["native"](("C", "D"))).head.pooling == "mean"  # as it was trained
    model = nt.TransferModel.load(folder, nt.TextClassificationHead(["C", "D"], pooling="native"))
    model.save(tmp_path)
    again = nt.TransferModel.load(tmp_path)
    assert type(again.network).__module__.startswith("transformers.")
    (mine,), (theirs,) = model.predict(["good"]), again.predict(["good"])
    assert mine.probabilities == pytest.approx(dict(theirs.probabilities), abs=1e-6)


def test_a_recipe_starts_from_an_earlier_run(finished, task_flags, training_flags, tmp_path):
    run, _ = finished("classify")
    flags = [*training_flags, "--max_train_steps", "1", "--model_name_or_path", str(run)]
    outcome = run_recipe("ner", [*task_flags["ner"], *flags], tmp_path)
    assert outcome.status == 0, outcome.err
    assert f"The head of {run / 'model'} is dropped (labels: complaint, praise; weights: " in outcome.err
    outcome = run_recipe("sentiment", [*task_flags["sentiment"], *flags, "--keep_head"], tmp_path)
    assert outcome.status == 0, outcome.err
    assert f"Reusing from the head of {run / 'model'}: 2 of the 2 labels (complaint, praise).\n" in outcome.err
    outcome = run_recipe("ner", [*task_flags["ner"], *flags, "--keep_head", "--output_dir", "other"], tmp_path)
    assert outcome.status == 2
    assert outcome.err.splitlines()[-1].startswith(f"error: --keep_head: {run / 'model'} has a head of another kind")
