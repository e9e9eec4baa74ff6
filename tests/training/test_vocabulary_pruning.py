"""A run that holds only the words it reads learns what one that holds all of them learns."""

from __future__ import annotations

import contextlib
from dataclasses import replace

import pytest
import torch
from conftest import FAMILIES
from torch import nn

import nlp_transfer as nt
from nlp_transfer.data.inputs import TokenInputs
from nlp_transfer.training import loop
from nlp_transfer.training.vocabulary_pruning import pruned_vocabulary


def trained(checkpoint, splits, options, family, strategy) -> tuple[nt.TransferModel, nt.RunResult]:
    folder = checkpoint(family)  # which takes random numbers when it is made
    nt.set_seed(0)
    model = nt.TransferModel.load(folder, nt.TextClassificationHead.for_splits(splits))
    with torch.no_grad():  # so that the unread ones have something to lose
        model.network.get_input_embeddings().weight.add_(1.0)
    return model, nt.fit(model, splits, options, strategy=strategy)


@pytest.mark.thinned(0.3)
@pytest.mark.parametrize(
    ("family", "strategy"), [*((f, "full") for f in FAMILIES), *(("bert", s) for s in ("gradual", "l2sp", "scratch"))]
)
def test_the_weights_end_as_if_all_words_were_held(checkpoint, review_splits, options, family, strategy, monkeypatch):
    options = replace(options, num_train_epochs=2, weight_decay=0.3, max_grad_norm=0.5)
    splits = replace(review_splits, validation=None)
    held = []

    @contextlib.contextmanager
    def counted(inputs, network):
        with pruned_vocabulary(inputs, network):
            held.append(len(network.get_input_embeddings().weight))
            yield

    monkeypatch.setattr(loop, "pruned_vocabulary", counted)
    few, result = trained(checkpoint, splits, options, family, strategy)
    monkeypatch.setattr(loop, "pruned_vocabulary", lambda inputs, network: contextlib.nullcontext())
    all_, expected = trained(checkpoint, splits, options, family, strategy)
    assert held[0] < len(all_.network.get_input_embeddings().weight)
    assert result.trained_weights == expected.trained_weights
    for (name, weight), other in zip(few.network.named_parameters(), all_.network.parameters(), strict=True):
        torch.testing.assert_close(weight, other, atol=2e-5, rtol=2e-5, msg=lambda said, name=name: f"{name}: {said}")


def test_the_embeddings_are_whole_again_also_after_an_error(checkpoint, review_splits):
    model = nt.TransferModel.load(checkpoint(), nt.TextClassificationHead.for_splits(review_splits))
    words = model.network.get_input_embeddings()
    before, padding, state = words.weight.detach().clone(), words.padding_idx, set(model.network.state_dict())
    rows = TokenInputs(model.encode(review_splits.train.data), model.pad_id)
    batch = rows.batch([0, 1, 2])
    expected = model.network.eval()(**batch).logits

    def fail() -> None:
        with pruned_vocabulary([rows], model.network):
            assert torch.equal(model.network(**batch).logits, expected)
            assert set(model.network.state_dict()) == state
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert type(words) is nn.Embedding
    assert torch.equal(words.weight, before)
    assert words.padding_idx == padding
    assert torch.equal(model.network(**batch).logits, expected)
