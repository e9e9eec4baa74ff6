"""Logits come back in the order of the rows, whatever batches they were computed in."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from conftest import FAMILIES
from datasets import Dataset

import nlp_transfer as nt
from nlp_transfer.data.inputs import TokenInputs
from nlp_transfer.models import inference
from nlp_transfer.models.inference import infer

TEXTS = ["good", "", "the coffee was bad and the train was sad", "a zebra", "good great fine lovely " * 5, "bad"]


@pytest.fixture(scope="module")
def model(checkpoint):
    torch.manual_seed(0)
    return nt.TransferModel.load(checkpoint(), nt.TextClassificationHead(["a", "b", "c"], pooling="mean", dropout=0.5))


def features(model, texts=TEXTS):
    return Dataset.from_dict(model.head.encode({"text": list(texts)}, model.tokenizer, model.max_length))


def logits(model, texts=TEXTS, **options):
    return np.concatenate(
        infer(model.network, model.head, TokenInputs(features(model, texts), model.pad_id), **options)
    )


def test_rows_come_back_in_their_order(model):
    alone = np.concatenate([logits(model, [text]) for text in TEXTS])
    assert len({row.tobytes() for row in alone}) == len(TEXTS)
    for batch_size in (1, 2, 4, 100):
        np.testing.assert_allclose(logits(model, batch_size=batch_size), alone, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(logits(model, TEXTS[::-1]), alone[::-1], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("rows", "processes"), [(61, 2), (61, 3), (14, 3), (2, 3)])
def test_each_row_is_counted_once_however_many_processes_share_them(model, monkeypatch, rows, processes):
    """Each process in turn, with what the others have sent: batches of 7, which do not come out even."""
    texts = [f"{'good ' * (i % 9)}{chr(97 + i % 26)} {i}" for i in range(rows)]
    sent: list[list[tuple[int, np.ndarray]]] = []

    def rank(place: int) -> SimpleNamespace:
        return SimpleNamespace(num_processes=processes, process_index=place)

    def send(outputs):
        sent.append(outputs)
        raise StopIteration

    monkeypatch.setattr(inference, "gather_object", send)
    for place in range(processes):
        with pytest.raises(StopIteration):
            logits(model, texts, batch_size=7, accelerator=rank(place))
    assert sorted(row for outputs in sent for row, _ in outputs) == list(range(rows))
    assert len({len(outputs) for outputs in sent}) > 1

    monkeypatch.setattr(inference, "gather_object", lambda outputs: [pair for outputs in sent for pair in outputs])
    alone = logits(model, texts, batch_size=7)
    for place in range(processes):
        assert np.array_equal(logits(model, texts, batch_size=7, accelerator=rank(place)), alone)
    sent[0].append(sent[0][0])
    with pytest.raises(AssertionError, match=f"{rows} features went in and {rows + 1} came back"):
        logits(model, texts, batch_size=7, accelerator=rank(0))


def test_windows_of_a_row_are_put_together_in_order(checkpoint):
    tagger = nt.TransferModel.load(checkpoint(), nt.NERHead(["PER"]), max_length=8)
    rows = [[f"w{i}" for i in range(count)] for count in (0, 30, 1, 7)]
    encoded = Dataset.from_dict(tagger.head.encode({"words": rows}, tagger.tokenizer, tagger.max_length))
    assert len(encoded) > len(rows)
    outputs = infer(tagger.network, tagger.head, TokenInputs(encoded, tagger.pad_id), batch_size=3)
    assert [output.shape for output in outputs] == [(len(row), 3) for row in rows]
    single = [
        infer(
            tagger.network,
            tagger.head,
            TokenInputs(encoded.select([i]).remove_columns("row").add_column("row", [0]), 0),
        )[0]
        for i in range(len(encoded))
    ]
    np.testing.assert_allclose(np.concatenate(outputs), np.concatenate(single), rtol=1e-5, atol=1e-6)


def test_nothing_in_nothing_out(model):
    assert infer(model.network, model.head, TokenInputs(features(model).select([]), model.pad_id)) == []


def test_prediction_knows_no_dropout_and_leaves_the_network_as_it_was(model):
    for training in (True, False):
        model.network.train(training)
        assert np.array_equal(logits(model), logits(model))
        assert model.network.training is training
        assert model.network.dropout.training is training
    with pytest.raises(TypeError):
        infer(model.network.train(), model.head, TokenInputs(features(model), None))
    assert model.network.training  # also where it failed


def test_answers_that_are_there_are_not_looked_at(model):
    rows = {"text": TEXTS, "label": list("abcabc")}
    answered = Dataset.from_dict(model.head.encode(rows, model.tokenizer, model.max_length))
    assert "labels" in answered.column_names
    given = np.concatenate(infer(model.network, model.head, TokenInputs(answered, model.pad_id)))
    assert np.array_equal(given, logits(model))


def test_a_row_that_is_lost_is_noticed(model, monkeypatch):
    whole = inference.length_batches
    monkeypatch.setattr(inference, "length_batches", lambda *args: whole(*args)[1:])
    with pytest.raises(AssertionError, match="6 features went in and 4 came back"):
        logits(model, batch_size=2)


# ConvBERT's convolutions and MobileBERT's trigrams of embeddings take in the padding beside the last word.
LEAKY = ("convbert", "mobilebert")


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(
    "head",
    [
        nt.TextClassificationHead(["a", "b"]),
        nt.TextClassificationHead(["a", "b"], pooling="mean"),
        nt.TextClassificationHead(["a", "b"], pooling="max"),
        nt.NERHead(["PER"]),
    ],
    ids=["native", "mean", "max", "ner"],
)
def test_a_padded_row_scores_as_it_does_alone_but_for_networks_that_look_at_padding(checkpoint, family, head):
    model = nt.TransferModel.load(checkpoint(family), head)
    torch.manual_seed(0)
    for parameter in model.network.parameters():  # so that a leak of padding would show
        if parameter.ndim > 1:
            parameter.data += 0.1 * torch.randn_like(parameter)
    texts = [text for text in TEXTS if text]
    rows = {"text": texts, "words": [text.split() for text in texts]}
    encoded = Dataset.from_dict(head.encode(rows, model.tokenizer, model.max_length))
    together = infer(model.network, head, TokenInputs(encoded, model.pad_id))
    one_by_one = infer(model.network, head, TokenInputs(encoded, model.pad_id), batch_size=1)
    pairs = list(zip(together, one_by_one, strict=True))
    assert all(padded.shape == alone.shape for padded, alone in pairs)
    are_same = all(np.allclose(padded, alone, rtol=1e-4, atol=1e-5) for padded, alone in pairs)
    assert are_same == (family not in LEAKY)
