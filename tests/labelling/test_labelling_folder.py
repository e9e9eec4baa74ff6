"""The folder of a labelling loop gives back what was kept, and lets one process in at a time."""

from __future__ import annotations

import json

import pytest

from nlp_transfer.errors import DataError, OptionError
from nlp_transfer.labelling.labelling_folder import Batch, LabellingFolder, State
from nlp_transfer.labelling.texts_to_label import RawText

TEXTS = [RawText("r1", "one\ntwo", 2), RawText("r2", "drei\u2028ü", 3)]  # lines of JSON, whatever is in the texts


def begun(path):
    with LabellingFolder(path) as folder:
        folder.save_texts(TEXTS)
        folder.begin(State("classification", {"a": ["a"], "b": ["b"]}, "an encoder", 42))
        folder.state.batches.append(Batch(1, "csv", "b.csv", ["r1", "r2"], ["r2"], {"r1": "a"}))
        folder.state.answers["r1"] = "b"
        folder.save()
    return path


def test_what_was_saved_comes_back(tmp_path):
    with LabellingFolder(begun(tmp_path / "loop")) as folder:
        assert list(folder.texts.values()) == TEXTS
        assert folder.state.answers == {"r1": "b"}
        assert folder.state.batches[0] == Batch(1, "csv", "b.csv", ["r1", "r2"], ["r2"], {"r1": "a"})
        assert folder.state.waiting == ["r2"]
        assert not folder.is_new


def test_a_second_process_is_kept_out(tmp_path):
    path = begun(tmp_path / "loop")
    second = LabellingFolder(path)
    with LabellingFolder(path), pytest.raises(OptionError, match="another process is using it"):
        second.__enter__()
    with LabellingFolder(path):  # and let in afterwards
        pass


def test_a_folder_without_a_state_says_how_to_begin(tmp_path):
    with LabellingFolder(tmp_path / "new") as folder:
        assert folder.is_new
        with pytest.raises(OptionError, match="holds no labelling yet; begin with: nlp-transfer label next"):
            folder.state  # noqa: B018


def test_a_folder_of_something_else_is_refused(tmp_path):
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(OptionError, match=r"holds other files, such as thesis\.tex"), LabellingFolder(tmp_path):
        pass
    with pytest.raises(OptionError, match="is not a folder"), LabellingFolder(tmp_path / "thesis.tex"):
        pass


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": 1}', '{"format": 2}', "null"])
def test_a_damaged_state_is_one_line(tmp_path, text):
    path = begun(tmp_path / "loop")
    (path / "state.json").write_text(text)
    with pytest.raises(DataError, match=r"state.json is damaged, or of another version"), LabellingFolder(path):
        pass
    (path / "state.json").write_text(json.dumps({"format": 1, "task": "ner", "labels": {}, "encoder": "", "seed": 1,
                                                 "batches": []}))  # fmt: skip
    with LabellingFolder(path) as folder:  # the lock of the attempt before is released
        assert folder.state.task == "ner"
