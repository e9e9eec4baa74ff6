"""A tokenizer whose tokens have no embedding is one line when a model is loaded, not a traceback in a batch."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import FAMILIES, run_recipe
from safetensors.torch import load_file, save_file
from transformers import AutoModel, AutoTokenizer, pipeline

import nlp_transfer as nt


@pytest.fixture
def copied(checkpoint: Callable[..., str], tmp_path: Path) -> Path:
    """A copy of the tiny BERT."""
    return Path(shutil.copytree(checkpoint(), tmp_path / "encoder"))


def edit(path: Path, **fields: object) -> None:
    """Write fields of a JSON file; those that are None are taken out."""
    spec = json.loads(path.read_text()) | fields
    path.write_text(json.dumps({name: value for name, value in spec.items() if value is not None}))


def add_tokens(folder: Path, *tokens: str) -> int:
    """Add tokens to the tokenizer alone, as people forget the embeddings; returns how many there were."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    before = len(tokenizer)
    tokenizer.add_tokens(list(tokens))
    tokenizer.save_pretrained(folder)
    return before


def head() -> nt.TaskHead:
    return nt.TextClassificationHead(["complaint", "praise"])


def refusal(folder: Path, with_head: nt.TaskHead | None) -> str:
    with pytest.raises(nt.ModelError) as error:
        nt.TransferModel.load(folder, with_head)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_tokens_without_embeddings_are_named_and_how_to_mend_it(copied):
    rows = add_tokens(copied, "<url>", "<user>")
    assert refusal(copied, head()) == (
        f"{copied}: its tokenizer has 2 tokens that the {rows} word embeddings of its weights do not have: '<url>' (id "
        f"{rows}), '<user>' (id {rows + 1}); put the tokenizer that the weights were trained with beside them, or add "
        f"rows with model.resize_token_embeddings({rows + 2}) of transformers and save the model again."
    )
    network = AutoModel.from_pretrained(copied)
    network.resize_token_embeddings(rows + 2)
    network.save_pretrained(copied)
    model = nt.TransferModel.load(copied, head())
    assert rows + 1 in model.tokenizer("thanks <user>")["input_ids"]
    assert len(model.predict(["<url> <user>", "good"])) == 2


def test_many_tokens_are_counted(copied):
    add_tokens(copied, *(f"<{i}>" for i in range(9)))
    assert "'<3>' (id " in refusal(copied, head())
    assert " and 5 more; put the tokenizer" in refusal(copied, head())
    assert "<4>" not in refusal(copied, head())


@pytest.mark.thinned(0.4)
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(
    "make", [head, lambda: nt.TextClassificationHead(["no", "yes"], pooling="mean"), lambda: nt.NERHead(["PER"])]
)
def test_it_is_seen_in_every_family(checkpoint, tmp_path, family, make):
    folder = Path(shutil.copytree(checkpoint(family), tmp_path / "encoder"))
    assert nt.TransferModel.load(folder, make())
    rows = add_tokens(folder, "<url>")
    assert f"1 token that the {rows} word embeddings of its weights do not have: '<url>' (id {rows});" in refusal(
        folder, make()
    )


@pytest.mark.parametrize("adapts", [False, True])
def test_a_trained_model_is_refused_as_well(copied, review_splits, options, tmp_path, adapts, reviews):
    model = nt.TransferModel.load(copied, head())
    if adapts:
        nt.fit(model, review_splits, options, strategy="lora")
    model.save(tmp_path / "model")
    add_tokens(copied if adapts else tmp_path / "model", "<url>")
    assert "1 token that the" in refusal(tmp_path / "model", None)
    outcome = run_recipe(
        "predict",
        ["--model_name_or_path", "model", "--input_file", reviews["test"], "--output_file", "out.jsonl"],
        tmp_path,
    )
    assert outcome.status == 2
    assert len(outcome.err.splitlines()) == 1
    assert "1 token that the" in outcome.err


@pytest.mark.parametrize("recipe", ["classify", "ner"])
def test_a_run_ends_before_it_trains(copied, task_flags, training_flags, tmp_path, recipe):
    add_tokens(copied, "<url>")
    flags = [*task_flags[recipe], *training_flags, "--model_name_or_path", str(copied), "--output_dir", "run"]
    outcome = run_recipe(recipe, flags, tmp_path)
    assert outcome.status == 2
    assert outcome.err.splitlines()[-1].startswith(f"error: {copied}: its tokenizer has 1 token that the ")
    assert not (tmp_path / "run").exists()


def test_special_tokens_that_the_template_puts_beyond_the_embeddings(copied):
    spec = json.loads((copied / "tokenizer.json").read_text())
    spec["post_processor"]["special_tokens"]["<cls>"]["ids"] = [4000]
    (copied / "tokenizer.json").write_text(json.dumps(spec))
    assert "1 token that the" in refusal(copied, head())
    assert "'?' (id 4000)" in refusal(copied, head())


def test_a_padding_token_that_was_added(copied):
    edit(copied / "tokenizer_config.json", pad_token="[PAD]")
    assert "'[PAD]' (id " in refusal(copied, head())


def test_embeddings_may_have_more_rows_than_there_are_tokens(copied):
    rows = add_tokens(copied, "<url>")
    network = AutoModel.from_pretrained(copied)
    network.resize_token_embeddings(rows + 1, pad_to_multiple_of=64)
    network.save_pretrained(copied)
    assert json.loads((copied / "config.json").read_text())["vocab_size"] % 64 == 0
    assert len(nt.TransferModel.load(copied, head()).predict(["<url>"])) == 1


def test_a_config_of_another_size_than_the_weights_is_no_reason_for_random_embeddings(copied):
    rows = json.loads((copied / "config.json").read_text())["vocab_size"]
    edit(copied / "config.json", vocab_size=rows + 7)
    assert refusal(copied, head()) == (
        f"{copied}: its config.json (vocab_size) makes word embeddings of {rows + 7} x 32, and its weights have "
        f"{rows} x 32 (bert.embeddings.word_embeddings.weight); give a folder whose config and weights were saved "
        f"together."
    )


def test_weights_without_word_embeddings(copied):
    weights = load_file(copied / "model.safetensors")
    del weights["embeddings.word_embeddings.weight"]
    save_file(weights, copied / "model.safetensors", {"format": "pt"})
    assert "lacks the word embeddings (bert.embeddings.word_embeddings.weight)" in refusal(copied, head())


def test_a_tokenizer_without_a_padding_token_takes_that_of_the_config(copied, tmp_path):
    edit(copied / "tokenizer_config.json", pad_token=None)
    assert AutoTokenizer.from_pretrained(copied).pad_token is None
    model = nt.TransferModel.load(copied, head())
    assert (model.tokenizer.pad_token, model.pad_id) == ("<pad>", 0)
    model.save(tmp_path / "model")
    texts = ["good", "the coffee was bad and the train was sad"]
    pipe = pipeline("text-classification", model=str(tmp_path / "model"), batch_size=2)
    ours = [prediction.label for prediction in model.predict(texts, precision="no")]
    assert [answer["label"] for answer in pipe(texts)] == ours


def test_a_padding_token_that_nobody_names_is_no_obstacle(copied):
    edit(copied / "tokenizer_config.json", pad_token=None)
    spec = json.loads((copied / "config.json").read_text())
    (copied / "config.json").write_text(json.dumps(spec | {"pad_token_id": None}))
    model = nt.TransferModel.load(copied, head())
    assert (model.tokenizer.pad_token, model.pad_id) == (None, 0)
    texts = ["good", "the coffee was bad and the train was sad"]
    alone = [model.predict([text], precision="no")[0].probability for text in texts]
    assert [p.probability for p in model.predict(texts, precision="no")] == pytest.approx(alone, abs=1e-5)


def test_positions_that_are_numbered_from_no_padding(checkpoint, tmp_path):
    folder = Path(shutil.copytree(checkpoint("roberta"), tmp_path / "encoder"))
    spec = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(spec | {"pad_token_id": None}))
    assert refusal(folder, head()) == (
        f"{folder}: config.json has no pad_token_id, from which roberta numbers the positions of tokens; write the id "
        f"of the tokenizer's padding token there."
    )
