"""Tiny models that were not trained, and whose predictions differ between texts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from contract_cases import HEADS

import nlp_transfer as nt


@pytest.fixture(scope="session")
def models(
    checkpoint: Callable[..., str], lively: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Path]:
    """`models(head)` is the folder of such a model, with a head of `HEADS`."""
    folder = tmp_path_factory.mktemp("models")

    def make(head: str) -> Path:
        if not (folder / head).exists():
            model = nt.TransferModel.load(lively("bert"), HEADS[head]())
            torch.manual_seed(0)
            for layer in model.network.modules():
                if isinstance(layer, torch.nn.Linear) and layer.out_features <= 16:
                    torch.nn.init.normal_(layer.weight)
            model.save(folder / head)
        return folder / head

    return make
