"""A model is saved and comes back as it was; texts go in, predictions come out in their order."""

from __future__ import annotations

import itertools
import json
import os
import random

import pytest
import torch
from conftest import word_tokenizer
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    pipeline,
)

import nlp_transfer as nt
from nlp_transfer.data import tag_schemes
from nlp_transfer.models.transfer_model import DEFAULT_MAX_LENGTH

HEADS = {
    "native": lambda: nt.TextClassificationHead(["z", "a", "m"], dropout=0.3, label_smoothing=0.1),
    "hidden": lambda: nt.TextClassificationHead(["z", "a", "m"], pooling="max", hidden=(16, 8), class_weights={"a": 2}),
    "sentiment": lambda: nt.SentimentHead(["1", "2", "10"], edges=(1.5, 5.0), pooling="mean"),
    "ner": lambda: nt.NERHead(["PER", "LOC"], "BIOES"),
}
TEXTS = ["good", "", "the coffee was bad and the train was sad", "a zebra", "Anna was in Oslo ." * 5]


def load(checkpoint, head, **options):
    """A model whose head is random and large, so that predictions differ between texts."""
    model = nt.TransferModel.load(checkpoint(), HEADS[head](), **options)
    torch.manual_seed(0)
    torch.nn.init.normal_(model.network.classifier.weight)
    return model


def numbers(prediction):
    named = getattr(prediction, "probabilities", ())
    return list(named.values()) if isinstance(named, dict) else list(named)


def assert_same(predictions, expected):
    assert len(predictions) == len(expected)
    for ours, theirs in zip(predictions, expected, strict=True):
        assert type(ours) is type(theirs)
        assert getattr(ours, "label", None) == getattr(theirs, "label", None)
        assert getattr(ours, "tags", None) == getattr(theirs, "tags", None)
        assert numbers(ours) == pytest.approx(numbers(theirs), abs=1e-6)


@pytest.mark.parametrize("head", HEADS)
def test_a_saved_model_comes_back_as_it_was(checkpoint, tmp_path, head):
    model = load(checkpoint, head, max_length=40)
    model.save(tmp_path)
    again = nt.TransferModel.load(tmp_path)
    assert type(again.network) is type(model.network)
    assert type(again.head) is type(model.head)
    assert again.head.options() == model.head.options()
    assert again.head.labels == model.head.labels
    assert again.max_length == 40
    assert again.new_parameters == frozenset()
    weights = again.network.state_dict()
    assert list(weights) == list(model.network.state_dict())
    for name, weight in model.network.state_dict().items():
        assert weight.dtype == weights[name].dtype
        assert torch.equal(weight, weights[name])
    drops = [[m.p for m in n.modules() if isinstance(m, torch.nn.Dropout)] for n in (model.network, again.network)]
    assert drops[0] == drops[1]
    assert_same(again.predict(TEXTS), model.predict(TEXTS))
    assert not list(tmp_path.glob("*.bin"))


def test_a_model_can_be_saved_loaded_and_saved_again(checkpoint, tmp_path):
    load(checkpoint, "hidden").save(tmp_path / "first")
    nt.TransferModel.load(tmp_path / "first").save(tmp_path / "second")
    for name in ("config.json", "model.safetensors", "tokenizer.json"):
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes()


def test_a_run_folder_is_its_model(checkpoint, tmp_path):
    model = load(checkpoint, "native")
    model.save(tmp_path / "run" / "model")
    for folder in (tmp_path / "run", tmp_path / "run" / "model", str(tmp_path / "run")):
        assert_same(nt.TransferModel.load(folder).predict(TEXTS), model.predict(TEXTS))
    onwards = nt.TransferModel.load(tmp_path / "run", nt.NERHead(["PER"]))  # its encoder, for another task
    for name, weight in model.network.bert.encoder.state_dict().items():
        assert torch.equal(onwards.network.bert.encoder.state_dict()[name], weight)


def test_max_length_can_be_changed_at_loading_within_the_positions(checkpoint, tmp_path):
    for head in ("native", "hidden"):
        load(checkpoint, head, max_length=40).save(tmp_path / head)
        assert nt.TransferModel.load(tmp_path / head, max_length=20).max_length == 20
        with pytest.raises(nt.OptionError, match="max_length 67 is more than the 66 tokens that"):
            nt.TransferModel.load(tmp_path / head, max_length=67)


@pytest.mark.parametrize("length", [0, 1, 2, -5])
def test_a_max_length_without_room_for_text_is_refused(checkpoint, length):
    with pytest.raises(nt.OptionError, match=f"max_length {length} leaves no room for text; give at least 3"):
        nt.TransferModel.load(checkpoint(), HEADS["native"](), max_length=length)
    assert nt.TransferModel.load(checkpoint(), HEADS["native"](), max_length=3).max_length == 3


def test_a_text_beyond_max_length_is_read_up_to_it(checkpoint):
    model = load(checkpoint, "native", max_length=5)
    assert_same(
        model.predict(["good bad sad happy warm"], precision="no"), model.predict(["good bad sad"], precision="no")
    )
    assert nt.TransferModel.load(checkpoint("modernbert"), HEADS["native"]()).max_length == 66 < DEFAULT_MAX_LENGTH


@pytest.mark.parametrize("head", HEADS)
def test_a_row_scores_as_it_does_alone(checkpoint, head):
    model = load(checkpoint, head)
    alone = [model.predict([text], precision="no")[0] for text in TEXTS]
    for batch_size in (1, 2, 32):
        assert_same(model.predict(TEXTS, batch_size=batch_size, precision="no"), alone)
    assert_same(model.predict(TEXTS[::-1], precision="no"), alone[::-1])
    assert_same(model.predict(tuple(TEXTS), precision="no"), alone)


def test_no_texts_no_predictions(checkpoint):
    for head in ("native", "ner"):
        model = load(checkpoint, head)
        assert model.predict([]) == []
        assert list(model.predict(iter([]))) == []


def test_one_text_is_not_a_list_of_letters(checkpoint):
    with pytest.raises(TypeError, match=r"write predict\(\[text\]\)"):
        load(checkpoint, "native").predict("good")


def test_predictions_say_what_the_task_says(checkpoint):
    (label,) = load(checkpoint, "native").predict(["good"])
    assert label.label in ("z", "a", "m")
    assert sum(label.probabilities.values()) == pytest.approx(1)
    assert label.probability == max(label.probabilities.values()) == label.probabilities[label.label]
    (feeling,) = load(checkpoint, "sentiment").predict(["good"])
    p = feeling.probabilities
    assert list(p) == ["1", "2", "10"]
    assert feeling.polarity == pytest.approx(p["10"] - p["1"])
    (tags,) = load(checkpoint, "ner").predict(["Anna was in Oslo."])
    assert tags.words == ("Anna", "was", "in", "Oslo", ".")
    assert tag_schemes.violations(tags.tags, "BIOES") == []


def test_an_endless_stream_is_read_as_it_is_asked_for(checkpoint, monkeypatch):
    monkeypatch.setattr("nlp_transfer.models.transfer_model.WINDOW", 16)
    model = load(checkpoint, "native")
    taken = []

    def texts():
        for i in itertools.count():
            taken.append(i)
            yield "good " * (i % 7) + f"w{i}"

    stream = model.predict(texts(), precision="no")
    assert taken == []
    first = list(itertools.islice(stream, 20))
    assert len(taken) <= 48
    assert_same(first, model.predict(["good " * (i % 7) + f"w{i}" for i in range(20)], precision="no"))


def test_a_stream_of_mixed_lengths_keeps_its_order(checkpoint, monkeypatch):
    monkeypatch.setattr("nlp_transfer.models.transfer_model.WINDOW", 10)
    for head in ("native", "ner"):
        model = load(checkpoint, head)
        chance = random.Random(0)
        words = ["good", "bad", "Anna", "Oslo", "was", "zebra"]
        texts = [" ".join(chance.choices(words, k=chance.randint(0, 50))) for _ in range(25)]
        stream = model.predict((text for text in texts), precision="no")
        assert iter(stream) is stream
        assert_same(list(stream), [model.predict([text], precision="no")[0] for text in texts])


def test_new_parameters_are_those_that_were_made_up(checkpoint):
    names = nt.TransferModel.load(checkpoint(), HEADS["native"]()).new_parameters
    assert names == {"classifier.weight", "classifier.bias"}


def test_bytes_are_those_of_the_saved_weights(checkpoint, tmp_path):
    model = load(checkpoint, "native")
    model.save(tmp_path)
    assert model.bytes <= (tmp_path / "model.safetensors").stat().st_size <= model.bytes + 10_000


@pytest.mark.parametrize("head", ["native", "hidden", "sentiment"])
def test_a_pipeline_truncates_3000_words_where_the_model_does(checkpoint, tmp_path, head):
    """Without `truncation=True` text-classification fails on stock networks: nothing in a folder turns it on."""
    model = load(checkpoint, head, max_length=40)
    model.save(tmp_path)
    text = "the coffee was good and the train was late . " * 300
    pipe = pipeline("text-classification", model=str(tmp_path))
    assert pipe.tokenizer.model_max_length == 40
    (ours,) = model.predict([text], precision="no")
    assert pipe(text, truncation=True)[0]["label"] == ours.label
    assert pipe(text, truncation=True)[0]["score"] == pytest.approx(ours.probability, abs=1e-5)
    if head != "native":
        assert pipe(text)[0]["label"] in model.head.labels


def test_a_pipeline_tags_the_first_of_3000_words(checkpoint, tmp_path):
    model = load(checkpoint, "ner", max_length=40)
    model.save(tmp_path)
    found = pipeline("token-classification", model=str(tmp_path), ignore_labels=[])("Anna was in Oslo . " * 600)
    assert len(found) == 38


def stock(folder, checkpoint, auto, names, **config):
    """A model that transformers itself has written, with labels in an order of its own."""
    shape = AutoConfig.from_pretrained(
        checkpoint(), id2label=dict(enumerate(names)), label2id={name: i for i, name in enumerate(names)}, **config
    )
    torch.manual_seed(0)
    network = auto.from_config(shape)
    torch.nn.init.normal_(network.classifier.weight)
    network.save_pretrained(folder)
    word_tokenizer().save_pretrained(folder)


def test_a_stock_classifier_is_read_with_its_labels(checkpoint, tmp_path):
    names = ["yes", "no", "maybe"]
    stock(tmp_path, checkpoint, AutoModelForSequenceClassification, names)
    model = nt.TransferModel.load(tmp_path)
    assert list(model.head.labels) == names
    pipe = pipeline("text-classification", model=str(tmp_path))
    texts = ["good", "the coffee was bad and the train was sad", "zebra"]
    for ours, theirs in zip(model.predict(texts, precision="no"), pipe(texts), strict=True):
        assert (ours.label, ours.probability) == (theirs["label"], pytest.approx(theirs["score"], abs=1e-6))


@pytest.mark.parametrize(
    ("names", "scheme", "types"),
    [
        (["I-LOC", "O", "B-PER", "B-LOC", "I-PER"], "IOB2", ["LOC", "PER"]),
        (["O", "I-LOC", "I-PER"], "IOB1", ["LOC", "PER"]),
        (["B-LOC", "I-LOC", "I-PER", "O"], "IOB1", ["LOC", "PER"]),
        (["S-PER", "E-PER", "O", "I-PER", "B-PER"], "BIOES", ["PER"]),
        (["L-PER", "U-PER", "O", "I-PER", "B-PER"], "BILOU", ["PER"]),
        (["O", "B-per-son", "I-per-son"], "IOB2", ["per-son"]),
    ],
)
def test_a_stock_tagger_is_read_with_its_tags_in_its_order(checkpoint, tmp_path, names, scheme, types):
    stock(tmp_path, checkpoint, AutoModelForTokenClassification, names)
    model = nt.TransferModel.load(tmp_path)
    assert isinstance(model.head, nt.NERHead)
    assert (model.head.scheme, list(model.head.entity_types), list(model.head.labels)) == (scheme, types, names)
    words = ["the", "coffee", "was", "bad", "and", "the", "film", "was", "sad"]  # a token each
    with torch.inference_mode():
        ids = torch.tensor([model.tokenizer(" ".join(words))["input_ids"]])
        scores = model.network.eval()(ids).logits[0, 1:-1].log_softmax(-1)
    (prediction,) = model.predict([words], precision="no")
    expected = [scores[i, names.index(tag)].exp().item() for i, tag in enumerate(prediction.tags)]
    assert prediction.probabilities == pytest.approx(expected, abs=1e-6)
    assert tag_schemes.violations(prediction.tags, scheme) == []


@pytest.mark.parametrize("kind", ["LOC", "PER"])
def test_a_type_that_the_tagger_never_begins_with_b_can_be_found(checkpoint, tmp_path, kind):
    stock(tmp_path, checkpoint, AutoModelForTokenClassification, ["B-LOC", "I-LOC", "I-PER", "O"])
    model = nt.TransferModel.load(tmp_path)
    with torch.no_grad():
        model.network.classifier.weight.zero_()
        model.network.classifier.bias.copy_(torch.tensor([0.0, 0.0, 0.0, 1.0]))
        model.network.classifier.bias[model.head.labels.id(f"I-{kind}")] = 9.0
    (prediction,) = model.predict(["Anna Oslo"])
    assert [(span.type, span.text) for span in prediction.spans] == [(kind, "Anna Oslo")]


def refusal(folder):
    with pytest.raises(nt.UserError) as refused:
        nt.TransferModel.load(folder)
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_an_encoder_without_a_head_asks_for_one(checkpoint):
    assert refusal(checkpoint()) == (
        f"{checkpoint()} has no trained head (BertModel); load it with a head: load(name, head=...)."
    )


@pytest.mark.parametrize("names", [["LABEL_0", "LABEL_1"], ["NOUN", "VERB"], ["O", "PER"]])
def test_a_tagger_of_something_else_than_entities_is_refused(checkpoint, tmp_path, names):
    stock(tmp_path, checkpoint, AutoModelForTokenClassification, names)
    assert f"has labels that are no tags of entities, such as B-PER: {', '.join(names)}" in refusal(tmp_path)


def test_a_stock_classifier_is_what_its_config_calls_it(checkpoint, tmp_path):
    stock(
        tmp_path, checkpoint, AutoModelForSequenceClassification, ["a", "b"], problem_type="multi_label_classification"
    )
    model = nt.TransferModel.load(tmp_path)
    assert isinstance(model.head, nt.MultiLabelHead)
    assert set(model.predict(["good"])[0].probabilities) == {"a", "b"}
    stock(tmp_path, checkpoint, AutoModelForSequenceClassification, ["score"])
    model = nt.TransferModel.load(tmp_path)
    assert isinstance(model.head, nt.RegressionHead)
    logits = model.network(**model.tokenizer("good", return_tensors="pt")).logits
    assert model.predict(["good"], precision="no")[0].value == pytest.approx(logits.item(), abs=1e-6)


@pytest.mark.parametrize("head", ["native", "hidden"])
def test_a_head_whose_weights_are_missing_is_refused(checkpoint, tmp_path, head):
    load(checkpoint, head).save(tmp_path)
    load(checkpoint, "ner").save(tmp_path / "other")
    config = json.loads((tmp_path / "config.json").read_text())
    config["id2label"] = {str(i): f"l{i}" for i in range(7)}
    config["label2id"] = {name: int(i) for i, name in config["id2label"].items()}
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert "lacks trained weights of its head: classifier.bias, classifier.weight" in refusal(tmp_path)


def test_who_may_read_what_is_saved_is_for_the_umask_to_say(checkpoint, tmp_path):
    model = nt.TransferModel.load(checkpoint(), nt.TextClassificationHead(["no", "yes"]))
    before = os.umask(0o027)
    try:
        model.save(tmp_path / "model")
    finally:
        os.umask(before)
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "model").iterdir()} == {0o640}


def test_a_model_is_shown_in_one_line(checkpoint):
    assert repr(load(checkpoint, "native")) == "TransferModel(bert, 2 layers of 32, classification: 3 labels)"
