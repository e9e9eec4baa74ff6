"""A text's vector is that of the text alone, whatever stands beside it in a batch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from conftest import FAMILIES

import nlp_transfer as nt

TEXTS = ["good", "", "the coffee was bad and the train was sad", "a zebra", "good great fine lovely " * 5, "bad"]


def model_of(folder: str, **options: object) -> nt.TransferModel:
    torch.manual_seed(0)
    return nt.TransferModel.load(folder, nt.TextClassificationHead(["a", "b"], **options))


@pytest.mark.parametrize("family", [family for family in FAMILIES if family != "convbert"])  # it convolves over padding
@pytest.mark.parametrize("pooling", ["native", "cls", "max"])
def test_vectors_come_in_the_order_of_texts_and_are_those_of_each_text_alone(checkpoint, family, pooling):
    model = model_of(checkpoint(family), pooling=pooling)
    alone = np.concatenate([model.embed([text], precision="no") for text in TEXTS])
    assert alone.shape == (len(TEXTS), model.encoder.width)
    for batch_size in (2, 100):
        np.testing.assert_allclose(model.embed(TEXTS, batch_size, "no"), alone, rtol=1e-4, atol=1e-5)
    assert np.abs(np.diff(alone, axis=0)).max() > 1e-3


def test_a_vector_is_the_mean_of_the_last_states_where_the_head_says_no_other_pooling(checkpoint):
    model = model_of(checkpoint(), pooling="native")
    ids = model.tokenizer([TEXTS[2]], return_tensors="pt")
    with torch.inference_mode():
        states = model.encoder.base.eval()(**ids).last_hidden_state[0]
    np.testing.assert_allclose(model.embed([TEXTS[2]], precision="no")[0], states.mean(0).numpy(), atol=1e-5)


def test_windows_of_a_text_are_averaged(checkpoint):
    words = ["good", "great", "fine", "lovely", "bad", "sad"] * 20
    model = model_of(checkpoint(), pooling="mean", long_texts="window")
    model.max_length = 16
    vector = model.embed([" ".join(words)], precision="no")[0]
    features = model.head.encode({"text": [" ".join(words)]}, model.tokenizer, 16)["input_ids"]
    assert len(features) > 2
    with torch.inference_mode():
        base = model.encoder.base.eval()
        parts = [base(torch.tensor([ids])).last_hidden_state[0].mean(0).numpy() for ids in features]
    np.testing.assert_allclose(vector, np.mean(parts, axis=0), atol=1e-5)


def test_pairs_and_words_have_vectors_and_no_text_has_none(checkpoint):
    model = model_of(checkpoint(), pooling="mean", pairs=True)
    assert model.embed([("good", "bad"), ("bad", "good")]).shape == (2, model.encoder.width)
    tagger = nt.TransferModel.load(checkpoint(), nt.NERHead(["O", "B-X", "I-X"]))
    assert tagger.embed(["good train", "bad"]).shape == (2, tagger.encoder.width)
    assert model.embed([]).shape == (0, model.encoder.width)


def test_embedding_leaves_the_network_as_it_was(checkpoint):
    model = model_of(checkpoint(), pooling="mean")
    model.network.train()
    model.embed(TEXTS)
    assert all(module.training for module in model.network.modules())
