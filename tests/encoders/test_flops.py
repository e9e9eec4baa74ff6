"""What training takes is counted as a reader would by hand, and as torch counts it."""

from __future__ import annotations

import pytest
import torch
from conftest import tiny_config
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoModel

import nlp_transfer as nt
from nlp_transfer.encoders.flops import training_flops

LENGTHS = [3, 5]
# A layer of width 32: four maps of 32 x 32 and two of 32 x 64, for 3 + 5 tokens; and attention in rows of 3 and 5.
MAPS, ATTENTION = 2 * (4 * 32 * 32 + 2 * 32 * 64) * 8, 4 * 32 * (9 + 25)


@pytest.fixture
def encoder():
    return nt.Encoder(AutoModel.from_config(tiny_config("bert", 50)))


def test_all_weights_take_three_passes(encoder):
    assert training_flops(encoder, LENGTHS) == 2 * 3 * (MAPS + ATTENTION)


def test_frozen_layers_take_one_pass_or_none(encoder):
    encoder.freeze(1)
    assert training_flops(encoder, LENGTHS) == (1 + 3) * (MAPS + ATTENTION)
    assert training_flops(encoder, LENGTHS, first_layer=1) == 3 * (MAPS + ATTENTION)
    encoder.freeze(2)
    assert training_flops(encoder, LENGTHS) == 2 * (MAPS + ATTENTION)
    assert training_flops(encoder, LENGTHS, first_layer=2) == 0


def test_frozen_weights_among_trained_ones_take_two(encoder):
    still = encoder.layers[0].intermediate.dense.weight  # 64 x 32
    still.requires_grad = False
    assert training_flops(encoder, LENGTHS) == 2 * 3 * (MAPS + ATTENTION) - 2 * 64 * 32 * 8


def test_shared_layers_count_as_often_as_they_run():
    apart, shared = (nt.Encoder(AutoModel.from_config(tiny_config(family, 50))) for family in ("bert", "albert"))
    assert training_flops(shared, LENGTHS) == training_flops(apart, LENGTHS)


@pytest.mark.parametrize("family", ["bert", "distilbert", "roberta"])
def test_torch_counts_the_same(family):
    config = tiny_config(family, 50)
    network = AutoModel.from_config(config, attn_implementation="eager")
    network.pooler = None  # which is not counted
    with FlopCounterMode(display=False) as counter:
        network(input_ids=torch.ones(2, 7, dtype=torch.long))[0].sum().backward()
    assert training_flops(nt.Encoder(network), [7, 7]) == counter.get_total_flops()
