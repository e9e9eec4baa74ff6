"""A network computes in half precision, and its weights stay what they are."""

from __future__ import annotations

import pytest
import torch
from conftest import review_lines

import nlp_transfer as nt
from nlp_transfer.encoders.precision import cast_once, computing_in, precision_for


@pytest.mark.parametrize("fails", [False, True])
def test_weights_are_half_inside_and_afterwards_what_they_were(checkpoint, fails):
    network = nt.TransferModel.load(checkpoint(), nt.TextClassificationHead(["a", "b"])).network
    before = {name: (p.data_ptr(), p.detach().clone()) for name, p in network.named_parameters()}
    with pytest.raises(KeyError) if fails else computing_in(network, "no"), computing_in(network, "bf16"):
        assert network.classifier.weight.dtype == torch.bfloat16
        assert network.get_input_embeddings().weight.dtype == torch.float32
        if fails:
            raise KeyError
    for name, parameter in network.named_parameters():
        place, whole = before[name]
        assert (parameter.data_ptr(), parameter.dtype) == (place, torch.float32)
        assert torch.equal(parameter, whole)


def test_only_linear_layers_are_cast_and_only_to_half_precision():
    layers = [torch.nn.Linear(2, 2, bias=False), torch.nn.LayerNorm(2)]
    for precision, dtype in (("no", torch.float32), ("bf16", torch.bfloat16), ("fp16", torch.float16)):
        with cast_once(layers, precision):
            assert [layer.weight.dtype for layer in layers] == [dtype, torch.float32]


def test_minilm_gives_the_same_labels_in_half_precision(tmp_path):
    model = nt.TransferModel.load("all-MiniLM-L6-v2", nt.TextClassificationHead(["a", "b", "c"], pooling="mean"))
    torch.manual_seed(0)
    torch.nn.init.normal_(model.network.classifier.weight)
    texts = [f"{text} {'and so on ' * (i % 9)}" for i, (text, _) in enumerate(review_lines(60))]
    before = {name: p.detach().clone() for name, p in model.network.named_parameters()}
    half, whole = model.predict(texts, precision="bf16"), model.predict(texts, precision="no")
    assert len({p.label for p in whole}) > 1
    for ours, theirs in zip(half, whole, strict=True):
        top, second = sorted(theirs.probabilities.values())[:-3:-1]
        assert ours.label == theirs.label or top - second < 0.05
        assert ours.probability == pytest.approx(theirs.probability, abs=0.03)
    assert half != whole
    for name, parameter in model.network.named_parameters():
        assert torch.equal(parameter, before[name])
    model.save(tmp_path)
    again = nt.TransferModel.load(tmp_path)
    assert {p.dtype for p in again.network.parameters()} == {torch.float32}


def test_an_unknown_precision_is_refused(checkpoint):
    model = nt.TransferModel.load(checkpoint(), nt.TextClassificationHead(["a", "b"]))
    with pytest.raises(nt.OptionError, match="precision must be one of auto, no, bf16, fp16; got int8"):
        model.predict(["good"], precision="int8")


def test_a_family_that_overflows_computes_in_fp32(checkpoint):
    model = nt.TransferModel.load(checkpoint("deberta"), nt.TextClassificationHead(["no", "yes"]))
    assert len(model.predict(["fine", "bad"])) == 2
    for ask in (
        lambda: model.predict(["fine"], precision="bf16"),
        lambda: precision_for("deberta", "fp16"),
    ):
        with pytest.raises(nt.OptionError, match=r"deberta cannot compute in (bf16|fp16) in transformers"):
            ask()
