"""What the compiler cannot do is one line."""

from __future__ import annotations

import pytest
from torch._dynamo.exc import TorchDynamoException

import nlp_transfer as nt
from nlp_transfer.training.trainer import _compile_errors_in_one_line


def test_what_cannot_be_compiled_is_one_line():
    """A real failure takes ten seconds of TorchInductor."""
    line = r"^--torch_compile cannot compile this network here \(No C\+\+ compiler\); leave it out\.$"
    with pytest.raises(nt.OptionError, match=line), _compile_errors_in_one_line():
        raise TorchDynamoException("No C++ compiler\nSet TORCHDYNAMO_VERBOSE=1 for the internal stack trace")
