"""The call in the model card finds the entities that `predict` finds, or the card shows `predict`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import NAMES, PLACES, run_recipe, tiny_config
from datasets import Dataset
from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers
from transformers import AutoModel, PreTrainedTokenizerFast

import nlp_transfer as nt
from nlp_transfer.heads.span_pipeline import SpanPipeline
from nlp_transfer.run.verify_entities import reference_entities, written
from nlp_transfer.run.verify_run import reference_logits, verify_saved

TEXTS = ["Anna was in Oslo!", "(Boris David) was in Riga, and Elena's coffee was warm.", "Greta met Hugo."]


def card_of(folder: Path) -> tuple[str, str]:
    """The model card of a run, and the code in it."""
    card = (folder / "README.md").read_text()
    return card, card.split("```python\n")[1].split("```")[0]


def run_card(folder: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """What the code of the card gives for a text."""
    monkeypatch.chdir(folder)
    *lines, last = card_of(folder)[1].replace("Some text.", text).strip().splitlines()
    names: dict[str, Any] = {}
    exec("\n".join([*lines, f"result = {last}"]), names)
    return names["result"]


def ours(folder: Path, text: str) -> list[tuple[str, str]]:
    (prediction,) = nt.TransferModel.load(folder).predict([text], precision="no")
    return [(span.type, span.text) for span in prediction.spans]


@pytest.fixture
def flags(task_flags: dict[str, list[str]], training_flags: list[str]) -> list[str]:
    """A tagger that has learned something."""
    return [*task_flags["ner"], *training_flags, "--num_train_epochs", "8", "--output_dir", "run"]


@pytest.fixture(scope="module")
def whole_word_bytes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A RoBERTa whose byte-level tokens are whole words, and marks with the blank before them."""
    folder = tmp_path_factory.mktemp("roberta")
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    trainer = trainers.BpeTrainer(
        vocab_size=900, special_tokens=special, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
    )
    words = [*NAMES, *PLACES, "was", "in", "met", "and", "coffee", "warm", "s", *".,!?()'"]
    tokenizer.train_from_iterator([" ".join(words)] * 50, trainer)
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), True, False)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, cls_token="<s>", sep_token="</s>", pad_token="<pad>", unk_token="<unk>"
    )
    config = tiny_config("roberta", len(fast))
    config.pad_token_id, config.initializer_range = 1, 0.2
    torch.manual_seed(0)
    AutoModel.from_config(config).save_pretrained(folder)
    fast.save_pretrained(folder)
    return folder


def test_texts_are_written_as_people_write_them():
    assert written(["Omar", "'s", "in", "Graz", "(", "Austria", ")", "!"]) == "Omar's in Graz (Austria)!"
    assert written(["Yes", ",", "50", "%", "."]) == "Yes, 50%."
    assert written([]) == ""


def test_the_call_of_the_card_finds_what_predict_finds(finished, monkeypatch):
    folder, outcome = finished("ner")
    assert "A pipeline of transformers finds the same 30 entities in these texts." in outcome.err
    card, code = card_of(folder)
    assert 'pipeline("token-classification", model="model", aggregation_strategy="first")' in code
    assert "In the 16 texts with which the run was verified it finds the 30 entities\nthat nlp_transfer finds." in card
    assert (folder / "model" / "README.md").read_text() == card
    for text in TEXTS:
        found = run_card(folder, text, monkeypatch)
        assert [(e["entity_group"], text[e["start"] : e["end"]]) for e in found] == ours(folder, text)


def test_words_are_given_where_the_tokens_do_not_mark_them(flags, whole_word_bytes, tmp_path, monkeypatch):
    outcome = run_recipe("ner", [*flags, "--model_name_or_path", str(whole_word_bytes)], tmp_path)
    assert outcome.status == 0, outcome.err
    folder = tmp_path / "run"
    card, code = card_of(folder)
    assert "is_split_into_words=True" in code
    assert 'a mark would belong to the word before it, as in "Graz!"' in card
    assert "it finds the" in card
    for text in TEXTS:
        mine = ours(folder, text)
        assert mine
        found = run_card(folder, text, monkeypatch)[0]
        places = [SpanPipeline("first", True).in_text(text, e["start"], e["end"]) for e in found]
        assert [(e["entity_group"], text[a:b]) for e, (a, b) in zip(found, places, strict=True)] == mine
    assert nt.verify_run(folder).entities.differing == 0


@pytest.mark.parametrize("scheme", ["BIOES", "BILOU"])
def test_other_prefixes_are_for_predict_alone(flags, tmp_path, monkeypatch, scheme):
    outcome = run_recipe("ner", [*flags, "--label_scheme", scheme], tmp_path)
    assert outcome.status == 0, outcome.err
    assert "pipeline" not in outcome.err
    folder = tmp_path / "run"
    card, code = card_of(folder)
    assert f"of {scheme} for other types.\nThis finds them:" in card
    assert "pipeline" not in code
    for text in TEXTS:
        assert [(span.type, span.text) for span in run_card(folder, text, monkeypatch)] == ours(folder, text)
    assert nt.verify_run(folder).entities is None


def test_where_the_pipeline_finds_others_the_card_says_so_and_shows_predict(flags, tmp_path, monkeypatch):
    """Of a network that gives tags at random, the likeliest ones do not fit together."""
    outcome = run_recipe("ner", [*flags, "--max_train_steps", "1", "--learning_rate", "1e-9"], tmp_path)
    assert outcome.status == 0, outcome.err
    folder = tmp_path / "run"
    card, code = card_of(folder)
    assert " texts, so the model card shows the call of nlp_transfer." in outcome.err
    assert '`transformers.pipeline` finds other entities, even with `aggregation_strategy="first"`: it takes' in card
    assert 'nlp_transfer.TransferModel.load("model")' in code
    assert [(span.type, span.text) for span in run_card(folder, TEXTS[0], monkeypatch)] == ours(folder, TEXTS[0])
    assert json.loads((folder / "transfer.json").read_text())["verification"]["pipeline"] is None
    assert nt.verify_run(folder).entities is None


def test_a_pipeline_that_has_changed_since_is_noticed(finished, tmp_path):
    folder, _ = finished("ner")
    assert nt.verify_run(folder).entities.found == 30
    transfer = json.loads((folder / "transfer.json").read_text())
    transfer["verification"]["pipeline"]["entities"][0].pop()
    (tmp_path / "transfer.json").write_text(json.dumps(transfer))
    (tmp_path / "model").symlink_to(folder / "model")
    with pytest.raises(nt.ModelError) as error:
        nt.verify_run(tmp_path)
    assert "model: the pipeline in its model card finds other entities than the model in 1 of 16 texts (" in str(
        error.value
    )


def test_a_run_of_before_there_was_a_pipeline_in_it_is_verified(finished, tmp_path):
    folder, _ = finished("ner")
    transfer = json.loads((folder / "transfer.json").read_text())
    del transfer["verification"]["pipeline"]
    (tmp_path / "transfer.json").write_text(json.dumps(transfer))
    (tmp_path / "model").symlink_to(folder / "model")
    assert nt.verify_run(tmp_path).entities is None


@pytest.fixture
def tagger(checkpoint: Callable[..., str]) -> nt.TransferModel:
    nt.set_seed(0)
    return nt.TransferModel.load(checkpoint(), nt.NERHead(["PER", "LOC"]), max_length=12)


def test_texts_are_cut_to_what_is_read_at_once(tagger):
    rows = Dataset.from_dict({"words": [["Anna", "was", "in", "Oslo", "."] * 9, ["Lima", "."]]})
    reference = reference_entities(tagger, rows)
    assert reference["texts"] == ["Anna was in Oslo.", "Lima."]


def test_rows_without_a_text_ask_nothing(tagger):
    assert reference_entities(tagger, Dataset.from_dict({"words": [[], [" "]]})) is None


@pytest.mark.parametrize("place", ["transformers.pipeline", "transformers.TokenClassificationPipeline.__call__"])
def test_a_pipeline_that_fails_is_one_that_finds_others_and_loses_no_run(tagger, tmp_path, monkeypatch, place):
    def fails(*arguments: object, **options: object) -> None:
        raise RuntimeError("of transformers")

    rows = Dataset.from_dict({"words": [["Anna", "was", "in", "Oslo", "."], ["Lima", "."]]})
    reference = reference_logits(tagger, rows)
    tagger.save(tmp_path)
    monkeypatch.setattr(place, fails)
    verification = verify_saved(tmp_path, reference)
    assert (verification.entities.texts, verification.entities.differing) == (2, 2)
    assert verification.difference < 1e-5


def test_an_adapter_is_opened_as_its_card_says(checkpoint, sentence_splits, options, tmp_path):
    head, splits = nt.NERHead.for_splits(sentence_splits)
    model = nt.TransferModel.load(checkpoint(), head)
    nt.fit(model, splits, options, strategy="lora")
    assert not model.adapter.is_merged
    reference = json.loads(json.dumps(reference_logits(model, splits.test.data)))
    assert len(reference["pipeline"]["texts"]) == 16
    model.save(tmp_path)
    verification = verify_saved(tmp_path, reference)
    assert (verification.entities.texts, verification.difference) == (16, pytest.approx(0, abs=1e-4))


@pytest.mark.whole
def test_a_fresh_process_asks_the_pipeline_too(tagger, sentence_splits, tmp_path, monkeypatch):
    monkeypatch.undo()  # in a fresh process
    _, splits = nt.NERHead.for_splits(sentence_splits)
    tagger.max_length = 64
    reference = json.loads(json.dumps(reference_logits(tagger, splits.test.data)))
    tagger.save(tmp_path)
    entities = verify_saved(tmp_path, reference).entities
    assert entities.texts == 16
    assert entities.found == sum(map(len, reference["pipeline"]["entities"]))
