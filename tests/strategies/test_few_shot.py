"""Few rows and label texts: what labels mean helps, nothing is chosen by validation rows, and mistakes are one line."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import run_recipe
from contract_cases import HEADS, lively, splits
from transformers import AutoModelForSequenceClassification

import nlp_transfer as nt
from nlp_transfer.data.splits import Splits
from nlp_transfer.errors import OptionError
from nlp_transfer.strategies.few_shot import FewShot
from nlp_transfer.strategies.label_contrast import _LabelTexts

__all__ = ["lively", "splits"]  # fixtures

FIXED = nt.TrainingOptions(mixed_precision="no", num_train_epochs=2, per_device_train_batch_size=8, learning_rate=1e-3)
FAR, NEAR = "the weather tomorrow", "the food that we ate"


def restaurants(rows: int, labels: tuple[str, str] = ("food", "weather")) -> pd.DataFrame:
    """Texts on what was eaten and on the weather, half of each."""
    plates = ["soup", "pasta", "bread", "rice", "fish", "cake", "salad", "cheese", "curry", "steak"]
    skies = ["rain", "snow", "sun", "wind", "fog", "hail", "frost", "heat", "storm", "clouds"]
    meals = [f"We had {thing} for dinner." for thing in plates]
    days = [f"There will be {thing} on Monday." for thing in skies]
    pairs = [pair for both in zip(meals, days, strict=True) for pair in zip(both, labels, strict=True)]
    return pd.DataFrame(pairs[:rows], columns=["text", "label"])


def fitted(train: pd.DataFrame, test: pd.DataFrame, **options: object) -> tuple[nt.TransferModel, float]:
    """MiniLM after `few_shot`, and its accuracy on `test`."""
    every_row = nt.DataOptions(validation_split_percentage=0)
    rows = nt.splits_from(train, test=test, options=every_row)
    model = nt.TransferModel.load("all-MiniLM-L6-v2", nt.text_head_for(rows))
    nt.fit(model, rows, nt.TrainingOptions(mixed_precision="no"), strategy=FewShot(**options))
    answers = [p.label for p in model.predict(list(test["text"]), precision="no")]
    return model, float(np.mean([a == b for a, b in zip(answers, test["label"], strict=True)]))


def test_one_row_a_label_and_their_names_are_enough_for_what_names_tell():
    everything = restaurants(20)
    model, accuracy = fitted(everything[:2], everything[2:], tune_encoder=False)
    assert accuracy > 0.9
    probabilities = [p.probability for p in model.predict(list(everything["text"]))]
    assert 0.5 < np.mean(probabilities) < 1


def test_texts_of_a_file_say_what_names_do_not(tmp_path):
    labels = ("k7", "k9")
    path = tmp_path / "labels.yaml"
    path.write_text(f"k7: [{NEAR}, dinner]\nk9: {FAR}\n")
    everything = restaurants(20, labels)
    # One row a label, each of the middle between both, so that the rows alone say nothing.
    unclear = pd.DataFrame({"text": ["It was cold.", "It was warm."], "label": labels})
    _, without = fitted(unclear, everything, tune_encoder=False)
    _, with_texts = fitted(unclear, everything, tune_encoder=False, labels_file=str(path))
    assert with_texts > max(0.9, without)


def test_contrast_moves_texts_to_the_texts_of_their_labels():
    everything = restaurants(20)
    model, accuracy = fitted(everything[:8], everything[8:])
    assert accuracy > 0.9
    vectors = model.embed([*everything["text"][8:], "food", "weather"], precision="no")
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    rows, names = vectors[:-2], vectors[-2:]
    own = np.array([0, 1] * 6)
    similarities = rows @ names.T
    assert (similarities.argmax(1) == own).all()
    assert (similarities[np.arange(12), own] - similarities[np.arange(12), 1 - own]).mean() > 0.5


def test_word_embeddings_stay_and_nothing_is_chosen_by_validation_rows(lively, splits):
    results = []
    for validation in (None, splits["native"].validation):
        nt.set_seed(0)
        model = nt.TransferModel.load(lively("bert"), HEADS["native"]())
        words = model.network.get_input_embeddings().weight.detach().clone()
        run = nt.fit(model, replace(splits["native"], validation=validation), FIXED, strategy="few_shot")
        assert torch.equal(words, model.network.get_input_embeddings().weight)
        results.append((run, {name: p.detach().clone() for name, p in model.network.named_parameters()}))
    (without, first), (scored, second) = results
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert without.best_score is None
    assert scored.best_score is not None
    assert (
        len([line for line in scored.history if "validation_accuracy" in line]) == 1
    )  # the last weights are scored, once


def test_rows_that_were_held_out_train_where_test_rows_score_the_run(reviews):
    data = nt.DataOptions(train_file=reviews["train"], test_file=reviews["test"])
    held = nt.load_splits(data, "classification")
    assert held.validation
    back = FewShot().splits(held)
    assert back.validation is None
    assert back.held_out_share == 0
    count = len(held.train.data) + len(held.validation.data)
    assert len(back.train.data) == count
    assert sorted(back.train.data["text"][:]) == sorted([*held.train.data["text"][:], *held.validation.data["text"][:]])
    assert (
        back.notes[-1] == f"Nothing is chosen by validation rows: the {len(held.validation.data)} held out train too."
    )
    assert FewShot().splits(replace(held, test=None)).validation  # what is to score the run stays apart
    assert nt.strategies.Full().splits(held) is held
    given = nt.load_splits(replace(data, validation_file=reviews["validation"]), "classification")
    assert FewShot().splits(given) is given


@pytest.mark.parametrize("head", ["pairs", "multi_label", "ner"])
def test_all_kinds_of_labels_are_learned_from_label_texts(lively, splits, head, tmp_path):
    model = nt.TransferModel.load(lively("bert"), HEADS[head]())
    run = nt.fit(model, replace(splits[head], validation=None), FIXED, strategy="few_shot")
    assert run.steps
    model.save(tmp_path)
    texts = [("good", "bad")] if head == "pairs" else ["good train"]
    assert nt.TransferModel.load(tmp_path).predict(texts, precision="no") == model.predict(texts, precision="no")


def test_the_saved_folder_opens_in_plain_transformers_with_vectors_of_length_1(lively, splits, tmp_path):
    model = nt.TransferModel.load(lively("bert"), HEADS["native"]())
    nt.fit(model, splits["native"], FIXED, strategy=FewShot(tune_encoder=False))
    model.save(tmp_path)
    network = AutoModelForSequenceClassification.from_pretrained(tmp_path)
    assert network.config.normalise
    ids = model.tokenizer(["a good train"], return_tensors="pt")
    with torch.inference_mode():
        vectors = network.eval().vectors(**ids)
    assert vectors.norm(dim=1).item() == pytest.approx(1, abs=1e-5)


def test_of_many_label_texts_those_of_the_rows_at_hand_are_taken_and_others_by_the_step(lively):
    head = nt.TextClassificationHead([f"l{i}" for i in range(200)])
    model = nt.TransferModel.load(lively("bert"), head)
    texts = _LabelTexts(model, [((i,), f"good {i}") for i in range(200)])
    members = torch.nn.functional.one_hot(torch.tensor([150, 3]), 200)
    batch, of_texts = texts.drawn(members, (0, 1, 0))
    assert len(batch["input_ids"]) == len(of_texts) == 64
    there = set(of_texts.argmax(1).tolist())
    assert {150, 3} <= there
    again = set(texts.drawn(members, (0, 1, 0))[1].argmax(1).tolist())
    later = set(texts.drawn(members, (0, 2, 0))[1].argmax(1).tolist())
    assert there == again != later


@pytest.mark.parametrize(
    ("head", "options", "said"),
    [
        ("regression", {}, "--strategy few_shot begins with what labels mean, and numbers have no labels (regression)"),
        ("pooled", {}, "--hidden has no meaning with --strategy few_shot, whose classifier is not trained by steps"),
        ("native", {"labels_file": "gone.yaml"}, "cannot read gone.yaml: No such file or directory"),
    ],
)
def test_what_it_cannot_do_is_one_line(lively, splits: dict[str, Splits], head: str, options: dict, said: str):
    model = nt.TransferModel.load(lively("bert"), HEADS[head]())
    with pytest.raises(OptionError) as error:
        nt.fit(model, splits[head], FIXED, strategy=FewShot(**options))
    assert said in str(error.value)


def test_a_description_for_no_label_is_one_line(lively, splits, tmp_path: Path):
    path = tmp_path / "labels.yaml"
    labels = list(HEADS["native"]().labels)
    path.write_text("".join(f"{name}: about {name}\n" for name in [*labels, "other"]))
    model = nt.TransferModel.load(lively("bert"), HEADS["native"]())
    with pytest.raises(OptionError, match="describes the label 'other', which no row has"):
        nt.fit(model, splits["native"], FIXED, strategy=FewShot(labels_file=str(path)))


def test_a_head_that_is_kept_keeps_vectors_of_length_1(lively, splits, tmp_path):
    model = nt.TransferModel.load(lively("bert"), HEADS["native"]())
    nt.fit(model, splits["native"], FIXED, strategy=FewShot(tune_encoder=False))
    model.save(tmp_path)
    head = nt.TextClassificationHead(model.head.labels, pooling="mean")
    again = nt.TransferModel.load(tmp_path, head, keep_head=True)
    texts = ["a good train", "bad"]
    for one, other in zip(model.predict(texts, precision="no"), again.predict(texts, precision="no"), strict=True):
        assert other.probabilities == pytest.approx(one.probabilities, abs=1e-6)


def test_max_train_steps_are_those_of_the_contrast(lively, splits):
    model = nt.TransferModel.load(lively("bert"), HEADS["native"]())
    run = nt.fit(model, splits["native"], replace(FIXED, num_train_epochs=1, max_train_steps=9), strategy="few_shot")
    assert run.steps == 9


def test_one_row_a_label_trains_in_the_recipe_where_test_rows_score_it(checkpoint, tmp_path):
    for name, rows in (("one", restaurants(2)), ("later", restaurants(8))):
        rows.to_csv(tmp_path / f"{name}.csv", index=False)
    flags = ["--train_file", "one.csv", "--test_file", "later.csv", "--model_name_or_path", checkpoint(),
             "--max_train_steps", "2", "--mixed_precision", "no", "--verify", "false", "--output_dir", "run",
             "--overwrite_output_dir"]  # fmt: skip
    for strategy in ("few_shot", "auto"):
        outcome = run_recipe("classify", [*flags, "--strategy", strategy], tmp_path)
        assert outcome.status == 0, outcome.err
        kept = (tmp_path / "run" / "options.yaml").read_text()
        assert "strategy: few_shot" in kept
        assert "validation_split_percentage: 0" in kept
