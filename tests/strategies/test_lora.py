"""What trains is the adapter and the head; PEFT and transformers open what is saved."""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from accelerate import Accelerator
from conftest import BAD, GOOD, RECIPES, review_lines, run_recipe
from contract_cases import mean_loss
from forking import in_two_processes
from peft import AutoPeftModelForSequenceClassification, PeftModel
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModel, AutoModelForSequenceClassification, AutoModelForTokenClassification

import nlp_transfer as nt
from nlp_transfer.data.batch import collate
from nlp_transfer.data.read_rows import read_classification
from nlp_transfer.data.splits import Splits
from nlp_transfer.encoders.pooling.pooled_network import PooledClassifier
from nlp_transfer.strategies import Lora, Stage

FAMILIES = ("bert", "roberta", "distilbert", "electra", "mpnet", "deberta-v2", "modernbert", "xlm-roberta")
HEADS: dict[str, Callable[[], nt.TaskHead]] = {
    "native": lambda: nt.TextClassificationHead(["complaint", "praise"]),
    "pooled": lambda: nt.TextClassificationHead(["complaint", "praise"], pooling="mean", hidden=(16,)),
    "ner": lambda: nt.NERHead(["PER", "LOC"]),
}
OPTIONS = nt.TrainingOptions(
    num_train_epochs=2,
    per_device_train_batch_size=4,
    learning_rate=5e-3,
    mixed_precision="no",
    warmup_ratio=0.0,
    metric_for_best_model="loss",
)


class Trained(NamedTuple):
    """A model after two epochs, its weights before it, its mean loss before and after, and what was saved."""

    model: nt.TransferModel
    before: dict[str, torch.Tensor]
    loss_before: float
    loss_after: float
    folder: Path


@pytest.fixture(scope="session")
def base(checkpoint, tmp_path_factory):
    """`base(family)` is its tiny encoder with weights so large that texts differ."""
    made: dict[tuple[str, int], str] = {}

    def make(family: str = "bert", layers: int = 2) -> str:
        if (family, layers) not in made:
            small = nt.TransferModel.load(checkpoint(family, layers), HEADS["native"]())
            network = AutoModel.from_pretrained(checkpoint(family, layers))
            with torch.no_grad():
                for parameter in network.parameters():
                    if parameter.ndim == 2:
                        parameter.mul_(10)
            folder = tmp_path_factory.mktemp(f"{family}-{layers}-large")
            network.save_pretrained(folder)
            small.tokenizer.save_pretrained(folder)
            made[family, layers] = str(folder)
        return made[family, layers]

    return make


@pytest.fixture(scope="session")
def splits(sentence_splits, tmp_path_factory):
    """Texts of three good words or of three bad ones, and the tiny sentences."""
    file = tmp_path_factory.mktemp("lora") / "texts.csv"
    with open(file, "w") as out:
        out.write("text,label\n")
        for i in range(48):
            words, label = ((GOOD, "praise"), (BAD, "complaint"))[i % 2]
            out.write(" ".join(words[(i // 2 + j * (i % 3 + 1)) % 8] for j in range(3)) + f",{label}\n")
    rows = read_classification(str(file))
    texts = Splits(rows, rows, None)
    return {"native": texts, "pooled": texts, "ner": sentence_splits}


@pytest.fixture(scope="session")
def trained(base, splits, tmp_path_factory):
    """`trained(family, head)` is a model after two epochs of `fit` with adapters."""
    done: dict[tuple[str, str], Trained] = {}

    def train(family: str, head: str) -> Trained:
        if (family, head) not in done:
            model = load(base(family), head)
            nt.set_seed(0)
            Lora(lora_dropout=0.1).setup(model, 0)
            before = {name: p.detach().clone() for name, p in model.network.named_parameters()}
            model = load(base(family), head)
            loss = mean_loss(model, splits[head])
            nt.fit(model, splits[head], OPTIONS, strategy=Lora(lora_dropout=0.1))
            folder = tmp_path_factory.mktemp(f"{family}-{head}")
            model.save(folder)
            done[family, head] = Trained(model, before, loss, mean_loss(model, splits[head]), folder)
        return done[family, head]

    return train


def load(checkpoint: str, head: str) -> nt.TransferModel:
    nt.set_seed(0)
    return nt.TransferModel.load(checkpoint, HEADS[head]())


def logits(network: torch.nn.Module, model: nt.TransferModel, splits: Splits) -> torch.Tensor:
    batch = collate(model.encode(splits.validation.data)[:], model.pad_id)
    batch.pop("labels")
    with torch.inference_mode():
        return network.eval()(**batch).logits


def on_the_base(folder: Path, checkpoint: str, head: str, labels: int) -> PeftModel:
    """What somebody who has PEFT, and for a pooled head the class of its network, does with a saved adapter."""
    if head == "pooled":
        network = PooledClassifier(AutoConfig.from_pretrained(folder), AutoModel.from_pretrained(checkpoint))
    else:
        auto = AutoModelForTokenClassification if head == "ner" else AutoModelForSequenceClassification
        network = auto.from_pretrained(checkpoint, num_labels=labels)
    return PeftModel.from_pretrained(network, folder)


def texts(splits: Splits, head: str) -> list:
    return splits.validation.data["words" if head == "ner" else "text"][:8]


def certainties(predictions: list) -> list[float]:
    return [p for one in predictions for p in (one.probabilities if hasattr(one, "tags") else [one.probability])]


every_family = pytest.mark.parametrize("family", FAMILIES)
every_head = pytest.mark.parametrize("head", HEADS)
thinned = pytest.mark.thinned(0.15)


@thinned
@every_family
@every_head
def test_adapters_and_head_learn_and_all_else_stays(trained, family, head):
    done = trained(family, head)
    assert done.loss_after < 0.998 * done.loss_before
    outside = {name for name, _ in done.model.network.named_children()} - {done.model.network.base_model_prefix}
    for name, parameter in done.model.network.named_parameters():
        trains = ".lora_" in name or ".modules_to_save." in name
        assert parameter.requires_grad == trains, name
        assert torch.equal(parameter, done.before[name]) != trains, name
        assert trains or name.partition(".")[0] not in outside or ".original_module." in name, name


@thinned
@every_family
@every_head
def test_every_linear_module_of_the_encoder_is_adapted(trained, family, head):
    network = trained(family, head).model.network
    plain = [
        name
        for name, module in network.base_model.named_modules()
        if type(module) is torch.nn.Linear and not any(part in name for part in (".lora_", "base_layer"))
    ]
    assert all("original_module" in name or "modules_to_save" in name for name in plain), plain


@thinned
@every_family
@every_head
def test_peft_opens_the_adapter_and_transformers_the_merged_model(
    trained, base, splits, family, head, tmp_path, monkeypatch
):
    done = trained(family, head)
    model, rows = done.model, splits[head]
    ours = logits(model.network, model, rows)
    theirs = on_the_base(done.folder, base(family), head, ours.shape[-1])
    torch.testing.assert_close(logits(theirs, model, rows), ours, rtol=0, atol=1e-5)

    again = nt.TransferModel.load(done.folder)
    told = certainties(model.predict(texts(rows, head), precision="no"))
    assert certainties(again.predict(texts(rows, head), precision="no")) == pytest.approx(told, abs=1e-5)
    again.save(tmp_path)  # merged into the base as it was loaded
    assert not (tmp_path / "adapter_config.json").exists()
    auto = AutoModelForTokenClassification if head == "ner" else AutoModelForSequenceClassification
    merged, info = auto.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(info[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    torch.testing.assert_close(logits(merged, model, rows), ours, rtol=0, atol=1e-5)


def settings(name: str) -> Lora:
    return {
        "dora": Lora(use_dora=True),
        "rslora": Lora(use_rslora=True),
        "gaussian": Lora(init_lora_weights="gaussian"),
        "pissa": Lora(init_lora_weights="pissa"),
        "olora, rslora": Lora(init_lora_weights="olora", use_rslora=True, lora_alpha=8),
        "random": Lora(init_lora_weights=False),
        "embeddings": Lora(lora_targets=["word_embeddings", "*.attention.*.query"]),
    }[name]


@pytest.mark.parametrize("name", ["dora", "rslora", "gaussian", "pissa", "olora, rslora", "random", "embeddings"])
def test_each_kind_of_lora_is_saved_on_the_base_as_it_was_given(base, splits, tmp_path, name):
    """PiSSA and OLoRA change the base that they stand on; what they save must not ask for that."""
    model, rows = load(base(), "native"), splits["native"]
    nt.fit(model, rows, OPTIONS, strategy=settings(name))
    for folder in ("first", "second"):  # saving changes nothing
        model.save(tmp_path / folder)
        opened = on_the_base(tmp_path / folder, base(), "native", 2)
        torch.testing.assert_close(logits(opened, model, rows), logits(model.network, model, rows), rtol=0, atol=1e-5)
    for file in ("adapter_config.json", "adapter_model.safetensors"):
        assert (tmp_path / "first" / file).read_bytes() == (tmp_path / "second" / file).read_bytes()


def test_what_lies_under_the_top_layers_runs_once(base, splits, tmp_path, caplog):
    rows, cache = splits["native"], nt.CacheOptions(cache_dir=str(tmp_path))
    model = load(base(layers=4), "native")
    cached = nt.fit(model, rows, OPTIONS, strategy=Lora(lora_top_layers=1), cache=cache)
    adapted = {name.split(".lora_")[0] for name, _ in model.network.named_parameters() if ".lora_" in name}
    assert adapted
    assert all(".encoder.layer.3." in name or ".pooler." in name for name in adapted)
    assert list(tmp_path.glob("*/states.bin"))
    assert model.encoder.frozen_layers == 3

    class Fp32Linear(Lora):
        def stages(self, encoder, epochs, learning_rate):
            return [Stage(0, epochs, learning_rate)]

    other = load(base(layers=4), "native")
    plain = nt.fit(other, rows, OPTIONS, strategy=Fp32Linear(lora_top_layers=1))
    assert [entry["loss"] for entry in cached.history if "loss" in entry] == pytest.approx(
        [entry["loss"] for entry in plain.history if "loss" in entry], abs=1e-6
    )
    for (name, ours), (_, theirs) in zip(
        model.network.named_parameters(), other.network.named_parameters(), strict=True
    ):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5, msg=name)


def test_a_pooler_that_the_checkpoint_lacks_is_saved_with_the_adapter(base, splits, tmp_path):
    network = AutoModel.from_pretrained(base(), add_pooling_layer=False)
    network.save_pretrained(tmp_path / "base")
    load(base(), "native").tokenizer.save_pretrained(tmp_path / "base")
    model = load(str(tmp_path / "base"), "native")
    nt.fit(model, splits["native"], OPTIONS, strategy=Lora())
    model.save(tmp_path / "adapter")
    saved = load_file(tmp_path / "adapter" / "adapter_model.safetensors")
    assert "base_model.model.bert.pooler.dense.weight" in saved
    opened = on_the_base(tmp_path / "adapter", str(tmp_path / "base"), "native", 2)
    ours = logits(model.network, model, splits["native"])
    torch.testing.assert_close(logits(opened, model, splits["native"]), ours, rtol=0, atol=1e-5)


def flags(base: str, reviews: dict[str, str], *more: str) -> list[str]:
    files = [part for name, path in reviews.items() for part in (f"--{name}_file", path)]
    run = ["--num_train_epochs", "1", "--mixed_precision", "no", "--strategy", "lora", "--output_dir", "run"]
    return ["--model_name_or_path", base, *files, *run, *more]


def run_card(folder: Path, monkeypatch: pytest.MonkeyPatch, base: str) -> list:
    """What the Python in a model card gives, run beside the model."""
    code = (folder / "README.md").read_text().split("```python\n")[1].split("```")[0]
    monkeypatch.chdir(folder)
    names: dict = {}
    exec(code.replace(f'"{Path(base).name}"', f'"{base}"'), names)
    return names["pipe"](["the coffee was good"])


def test_a_run_leaves_an_adapter_that_its_card_opens(base, reviews, tmp_path, monkeypatch):
    outcome = run_recipe("classify", flags(base(), reviews, "--lora_r", "4", "--learning_rate", "1e-2"), tmp_path)
    assert outcome.status == 0, outcome.err
    trained = json.loads((tmp_path / "run" / "metrics.json").read_text())["train"]["trained_weights"]
    assert f"Training {trained:,} of " in outcome.err
    assert outcome.err.count("Training ") == 1
    config = json.loads((tmp_path / "run" / "model" / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == base()
    assert (config["r"], config["lora_alpha"], config["task_type"]) == (4, 16.0, "SEQ_CLS")
    told = nt.TransferModel.load(tmp_path / "run").predict(["the coffee was good"], precision="no")[0]
    (answer,) = run_card(tmp_path / "run", monkeypatch, base())
    assert answer["label"] == told.label
    assert answer["score"] == pytest.approx(told.probability, abs=1e-5)
    network = AutoPeftModelForSequenceClassification.from_pretrained(tmp_path / "run" / "model", num_labels=2)
    assert network.peft_config["default"].base_model_name_or_path == base()
    assert not (tmp_path / "run" / "adapter").exists()


def test_a_merged_run_leaves_an_ordinary_model_and_the_adapter(base, reviews, tmp_path, monkeypatch):
    more = ("--merge_adapter", "true", "--lora_top_layers", "1")
    outcome = run_recipe("classify", flags(base(), reviews, *more), tmp_path)
    assert outcome.status == 0, outcome.err
    assert not (tmp_path / "run" / "model" / "adapter_config.json").exists()
    told = nt.TransferModel.load(tmp_path / "run").predict(["the coffee was good"], precision="no")[0]
    (answer,) = run_card(tmp_path / "run", monkeypatch, base())
    assert answer["score"] == pytest.approx(told.probability, abs=1e-5)
    alone = nt.TransferModel.load(tmp_path / "run" / "adapter").predict(["the coffee was good"], precision="no")[0]
    assert alone.probability == pytest.approx(told.probability, abs=1e-5)


def test_the_bundled_encoder_has_a_name_that_means_something_elsewhere(tmp_path):
    model = nt.TransferModel.load("all-MiniLM-L6-v2", HEADS["native"]())
    Lora(lora_top_layers=1, lora_targets=["query"]).setup(model, 0)
    model.save(tmp_path)
    config = json.loads((tmp_path / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == "sentence-transformers/all-MiniLM-L6-v2"
    assert "site-packages" not in "".join(path.read_text() for path in tmp_path.glob("*.json"))
    told = certainties(model.predict(["good"], precision="no"))
    assert certainties(nt.TransferModel.load(tmp_path).predict(["good"], precision="no")) == pytest.approx(
        told, abs=1e-5
    )


def test_a_model_that_carries_an_adapter_is_loaded_again_before_it_is_trained_on(trained, splits):
    done = trained("bert", "native")
    with pytest.raises(nt.OptionError, match="has an adapter already; to train it further, save it"):
        nt.fit(done.model, splits["native"], OPTIONS)
    with pytest.raises(nt.ModelError, match="holds only an adapter; give its base model, or train it with"):
        load(str(done.folder), "native")


@pytest.mark.parametrize(
    ("without", "said"),
    [(".head.dense", "lacks the weight 'base_model.model.head.dense.weight'"), ("0.attn.Wo.lora_A", "lacks 1 of its")],
)
def test_an_adapter_that_lacks_a_part_is_refused(trained, tmp_path, without, said):
    trained("modernbert", "native").model.save(tmp_path)
    weights = load_file(tmp_path / "adapter_model.safetensors")
    save_file({k: v for k, v in weights.items() if without not in k}, tmp_path / "adapter_model.safetensors")
    with pytest.raises(nt.ModelError, match=said):
        nt.TransferModel.load(tmp_path)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"lora_r": 0}, "--lora_r must be more than 0; got 0."),
        ({"lora_alpha": -1.0}, "--lora_alpha must be more than 0; got -1."),
        ({"lora_dropout": 1.0}, "--lora_dropout must be 0 or more and less than 1; got 1."),
        ({"lora_top_layers": 0}, "--lora_top_layers must be more than 0; got 0."),
        ({"lora_top_layers": 3}, "--lora_top_layers 3 is more than the 2 layers that this bert encoder has."),
        ({"init_lora_weights": "eva"}, "--init_lora_weights must be true, false, gaussian,"),
        ({"lora_targets": ["qery"]}, "--lora_targets: qery matches no module that can be adapted; those end in word"),
        ({"lora_targets": ["query", "a", "b"]}, "--lora_targets: a, b of query, a, b match no module"),
        ({"peft_config": "there.json", "lora_r": 4}, "--lora_r is what --peft_config says already; give one of them."),
        ({"peft_config": "there.json"}, "cannot read --peft_config there.json: No such file or directory."),
        ({"init_lora_weights": "pissa", "lora_r": 33}, "--strategy lora: a rank of 33 exceeds the smallest"),
    ],
)
def test_what_makes_no_sense_is_said_in_one_line(base, options, said):
    with pytest.raises(nt.OptionError) as caught:
        Lora(**options).setup(load(base(), "native"), 0)
    assert str(caught.value).startswith(said)
    assert "\n" not in str(caught.value)


def test_targets_of_another_family_are_named_with_those_that_there_are(base):
    with pytest.raises(nt.OptionError, match=r"query matches no module .* those end in .*q_lin, k_lin, v_lin"):
        Lora(lora_targets=["query"]).setup(load(base("distilbert"), "native"), 0)


def test_layers_that_are_shared_cannot_be_adapted_alone(base):
    with pytest.raises(nt.OptionError, match="--lora_top_layers: albert shares one layer between all depths"):
        Lora(lora_top_layers=1).setup(load(base("albert"), "native"), 0)


def test_an_option_of_lora_is_refused_by_other_strategies():
    with pytest.raises(nt.OptionError, match="--lora_r is an option of --strategy lora, not of freeze"):
        nt.strategy_from(nt.StrategyOptions(strategy="freeze", lora_r=4))


def train(folder: Path, checkpoint: str, batch_size: int) -> nt.TransferModel:
    """An epoch without dropout, which is the one thing that processes do differently."""
    files = nt.DataOptions(train_file=str(folder / "reviews.csv"), validation_file=str(folder / "reviews.csv"))
    options = nt.TrainingOptions(
        num_train_epochs=1, per_device_train_batch_size=batch_size, learning_rate=1e-3, mixed_precision="no"
    )
    model = load(checkpoint, "native")
    nt.fit(model, nt.load_splits(files, "classification"), options, strategy=Lora())
    return model


@pytest.mark.whole
def test_the_number_of_processes_changes_nothing(base, tmp_path, monkeypatch):
    (tmp_path / "reviews.csv").write_text("text,label\n" + "".join(f"{t},{label}\n" for t, label in review_lines(61)))
    tests = str(RECIPES.parent / "tests")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([tests, os.environ.get("PYTHONPATH", "")]))
    in_two_processes(tmp_path, Path(__file__), str(tmp_path), base())
    model = train(tmp_path, base(), batch_size=6)
    model.save(tmp_path / "alone")
    ours = load_file(tmp_path / "alone" / "adapter_model.safetensors")
    theirs = load_file(tmp_path / "shared" / "adapter_model.safetensors")
    assert ours.keys() == theirs.keys()
    for name, weight in ours.items():
        assert (theirs[name] - weight).abs().max() < 1e-5, name


def main(folder: Path, checkpoint: str) -> None:
    """What each of the two processes does."""
    logging.basicConfig()
    model = train(folder, checkpoint, batch_size=3)
    if Accelerator().is_main_process:
        assert Accelerator().num_processes == 2
        model.save(folder / "shared")
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])


def test_a_base_that_is_a_folder_is_found_from_any_other(base, splits, tmp_path, monkeypatch):
    folder = Path(base("bert"))
    monkeypatch.chdir(folder.parent)
    model = load(folder.name, "native")
    Lora().setup(model, 0)
    model.save(tmp_path)
    assert json.loads((tmp_path / "adapter_config.json").read_text())["base_model_name_or_path"] == str(folder)


def test_one_target_is_a_list_of_one():
    assert Lora(lora_targets="query").lora_targets == ["query"]


def test_an_option_that_no_strategy_has_is_said():
    with pytest.raises(nt.OptionError) as error:
        nt.strategy_named("freeze", foo=1)
    assert str(error.value) == "--foo is no option of --strategy freeze; its options are --trainable_layers."
