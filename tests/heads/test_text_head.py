"""What heads for texts share: pairs with their token types, long texts cut or read in windows."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np
import pytest
import torch
from tokenizers import processors

import nlp_transfer as nt
from nlp_transfer.activations.truncation import TruncatedEncoder, reading, states_at
from nlp_transfer.data.batch import CONTINUED, collate
from nlp_transfer.data.inputs import TokenInputs
from nlp_transfer.data.long_texts import tokens_of
from nlp_transfer.models.inference import infer

LONG = "the film was good and the train was bad and the hotel was superb and the book was rotten"  # 19 tokens


@pytest.fixture
def model(checkpoint):
    """A tiny BERT of pairs whose tokenizer has token types, as BERT's own does, and whose types matter."""
    nt.set_seed(0)
    model = nt.TransferModel.load(checkpoint(layers=3), nt.TextClassificationHead(["no", "yes"], pairs=True))
    model.tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="<cls> $A <sep>", pair="<cls> $A <sep> $B:1 <sep>:1", special_tokens=[("<cls>", 1), ("<sep>", 2)]
    )
    model.tokenizer.model_input_names = ["input_ids", "token_type_ids", "attention_mask"]
    with torch.no_grad():
        model.network.bert.embeddings.token_type_embeddings.weight.normal_()
        model.network.classifier.weight.normal_()
    return model


PAIRS = {"text": ["the film was good", "bad"], "text_pair": ["the film was superb", "the train was cold"]}


def test_the_texts_of_a_pair_have_their_token_types(model):
    features = model.head.encode(PAIRS, model.tokenizer, 32)
    expected = model.tokenizer(PAIRS["text"], PAIRS["text_pair"])
    assert features["input_ids"] == expected["input_ids"]
    assert features["token_type_ids"] == expected["token_type_ids"]
    assert {0, 1} == set(features["token_type_ids"][0])
    batch = collate(features, 0)
    assert batch["token_type_ids"].shape == batch["input_ids"].shape
    with torch.no_grad():
        ours = model.network.eval()(**batch).logits
        without = model.network(batch["input_ids"], batch["attention_mask"]).logits
    assert not torch.allclose(ours, without, atol=1e-3)
    predictions = model.predict(list(zip(*PAIRS.values(), strict=True)), precision="no")
    assert [p.probabilities["yes"] for p in predictions] == pytest.approx(ours.softmax(-1)[:, 1].tolist(), abs=1e-5)


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_logits_of_a_truncated_encoder_of_pairs_are_those_of_the_full_network(model, depth):
    batch = collate(model.head.encode(PAIRS, model.tokenizer, 32), 0)
    encoder = model.encoder
    with torch.no_grad():
        full = model.network.eval()(**batch).logits
        states = states_at(encoder, [depth], reading(encoder), batch)[depth]
        mask = batch["attention_mask"]
        states, mask = (states[:, None], mask[:, :1]) if states.ndim == 2 else (states, mask)
        with TruncatedEncoder(encoder, depth):
            truncated = model.network(inputs_embeds=states, attention_mask=mask).logits
    assert torch.equal(truncated, full)


def test_the_cache_distinguishes_pairs_from_one_text_of_the_same_tokens(model, monkeypatch):
    from nlp_transfer.activations.frozen_layers import _hash_of_tokens

    features = model.head.encode(PAIRS, model.tokenizer, 32)
    rows = {"text": PAIRS["text"], "text_pair": PAIRS["text_pair"]}
    typed = TokenInputs(model.encode(_dataset(rows)), 0)
    monkeypatch.setattr("nlp_transfer.data.long_texts.gives_types_of_pairs", lambda tokenizer: False)
    plain = TokenInputs(model.encode(_dataset(rows)), 0)
    assert list(typed.features["input_ids"]) == list(plain.features["input_ids"]) == features["input_ids"]
    assert _hash_of_tokens(typed) != _hash_of_tokens(plain)


def _dataset(columns):
    from datasets import Dataset

    return Dataset.from_dict(columns)


def test_a_frozen_run_on_pairs_ends_where_a_whole_one_does(model, options, review_splits):
    def paired(rows):
        return replace(rows, data=rows.data.add_column("text_pair", [text[::-1] for text in rows.data["text"]]))

    splits = review_splits.each(paired)
    run = {}
    for gb in (None, 0.0):  # kept on disk, and run again in each step
        nt.set_seed(0)
        head = nt.text_head_for(splits)
        assert head.pairs
        other = nt.TransferModel.load(model.checkpoint.name, head)
        other.tokenizer = model.tokenizer
        nt.fit(other, splits, options, strategy=nt.strategy_named("freeze", trainable_layers=1),
               cache=nt.CacheOptions(cache_gb=gb))  # fmt: skip
        run[gb] = other.network.classifier.weight.detach()
    torch.testing.assert_close(run[None], run[0.0], rtol=0, atol=1e-4)


def test_the_longer_text_of_a_pair_is_cut_first(model):
    tokens = tokens_of(["good"], [LONG], model.tokenizer, 12)
    assert len(tokens.input_ids[0]) == 12
    assert tokens.input_ids == model.tokenizer(["good"], [LONG], truncation="longest_first", max_length=12)["input_ids"]
    assert tokens.dropped == [1 + 19 + 3 - 12]


@pytest.mark.parametrize("text", ["a text", ("one", "two", "three")])
def test_a_model_of_pairs_takes_pairs_alone(model, text):
    with pytest.raises(nt.DataError, match="text 1: this model was trained on pairs of texts"):
        model.predict([text])


def test_what_is_read_of_a_long_text(checkpoint):
    tokenizer = nt.TransferModel.load(checkpoint(), nt.TextClassificationHead(["a", "b"])).tokenizer
    (full,) = tokenizer([LONG])["input_ids"]
    body = full[1:-1]
    assert len(body) == 19
    cut = tokens_of([LONG, "good"], None, tokenizer, 12, "truncate")
    assert cut.input_ids == tokenizer([LONG, "good"], truncation=True, max_length=12)["input_ids"]
    assert (cut.row, cut.dropped) == ([0, 1], [9, 0])
    ends = tokens_of([LONG, "good"], None, tokenizer, 12, "head_tail")
    assert ends.input_ids[0] == [1, *body[:2], *body[-8:], 2]
    assert ends.dropped == [9, 0]
    spread = tokens_of(["good", LONG, "bad"], None, tokenizer, 12, "window")
    assert spread.row == [0, 1, 1, 1, 2]
    windows = [ids for ids, row in zip(spread.input_ids, spread.row, strict=True) if row == 1]
    assert all(ids[0] == 1 and ids[-1] == 2 and len(ids) <= 12 for ids in windows)
    assert {token for ids in windows for token in ids} >= set(body)
    assert windows[0][1:-1] == body[:10]
    assert windows[-1][-2] == body[-1]
    assert sum(spread.dropped) == 0
    exact = tokens_of([LONG], None, tokenizer, 21, "window")
    assert (exact.input_ids, exact.dropped) == ([full], [0])


HEADS = {
    "single": (lambda **o: nt.TextClassificationHead(["no", "yes"], **o), ["yes", "no", "yes"]),
    "several": (lambda **o: nt.MultiLabelHead(["no", "yes"], **o), [["yes", "no"], [], ["yes"]]),
    "number": (lambda **o: nt.RegressionHead("n", **o), [0.5, -100.0, 2.0]),
}


@pytest.mark.parametrize("pooling", ["mean", "max"])
@pytest.mark.parametrize("kind", HEADS)
def test_the_loss_of_windows_is_that_of_pooled_logits_in_training_and_predicting(checkpoint, kind, pooling):
    make, labels = HEADS[kind]
    nt.set_seed(0)
    model = nt.TransferModel.load(checkpoint(), make(long_texts="window", window_pooling=pooling), max_length=12)
    rows = {"text": ["good", LONG, "bad"], "label": labels}
    inputs = TokenInputs(model.encode(_dataset(rows)), model.pad_id)
    assert list(inputs.firsts) == [0, 1, len(inputs.lengths) - 1]
    assert inputs.labelled.sum() == 3
    outputs = infer(model.network, model.head, inputs)
    pooled = torch.from_numpy(model.head.logits_of_rows(outputs))
    how = np.mean if pooling == "mean" else np.max
    np.testing.assert_allclose(pooled[1], how(outputs[1], axis=0), rtol=1e-6)

    batch = inputs.batch(range(len(inputs.lengths)))
    targets = batch.pop("labels")
    logits = model.network.eval()(**batch).logits
    expected = model.head.plain_loss(pooled, torch.tensor([items[0] for items in model.head.targets(labels)])) / 3
    loss = model.head.loss(logits, targets, 3)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-4)
    loss.backward()
    assert all(p.grad.isfinite().all() for p in model.network.parameters() if p.grad is not None)


def test_windows_of_a_row_stay_in_one_batch_and_a_run_learns_from_them(checkpoint, options, review_splits, caplog):
    def lengthened(rows):
        texts = [f"{text} and {LONG}" if i % 3 else text for i, text in enumerate(rows.data["text"])]
        return replace(rows, data=rows.data.remove_columns("text").add_column("text", texts))

    splits = review_splits.each(lengthened)
    nt.set_seed(0)
    head = nt.text_head_for(splits, long_texts="window")
    model = nt.TransferModel.load(checkpoint(), head, max_length=16)
    options.gradient_accumulation_steps = 3  # parts of unlike sizes
    with caplog.at_level(logging.INFO, "nlp_transfer"):
        run = nt.fit(model, splits, options)
    assert run.steps == 2 * -(-64 // 24)
    assert any("42 of 64 texts are longer than 16 tokens, and 0.0% of all tokens are not read" in m for m in
               caplog.messages)  # fmt: skip
    assert all(np.isfinite(entry["loss"]) for entry in run.history if "loss" in entry)
    inputs = TokenInputs(model.encode(splits.train.data), 0)
    labels = np.array(inputs.features["labels"])
    assert (labels == CONTINUED).sum() == len(labels) - 64
