"""What tests of files with tags share: the sentences that are read of one, and the line that refuses it."""

from __future__ import annotations

import pytest

import nlp_transfer as nt
from nlp_transfer.data.read_rows import read_tagged


def sentences(rows):
    return list(zip(rows.data["words"], rows.data["tags"], strict=True))


def fault(path, **options):
    with pytest.raises(nt.DataError) as caught:
        read_tagged(path, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)
