"""What a model's folder holds tells whether it is the same: weights and tokenizer alike."""

from __future__ import annotations

import pytest

from nlp_transfer.training.checkpointing.fingerprint import content, files_of


@pytest.mark.parametrize("name", ["model.safetensors", "vocab.txt", "merges.txt", "spiece.model", "tokenizer.json"])
def test_another_weight_or_tokenizer_file_is_another_encoder(name, tmp_path):
    (tmp_path / name).write_text("one")
    before, held = files_of(tmp_path), content(str(tmp_path / name))
    (tmp_path / name).write_text("two")
    assert (files_of(tmp_path) == before, content(str(tmp_path / name)) == held) == (False, False)
