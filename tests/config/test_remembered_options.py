"""A run remembers how its rows were read, and nothing else."""

from __future__ import annotations

import dataclasses

import pytest

import nlp_transfer as nt
from nlp_transfer.config.option_fields import option_of
from nlp_transfer.config.parsing import to_yaml
from nlp_transfer.config.remembered_options import remembered_options

TOLD = nt.DataOptions(
    train_file="a.csv", text_column_name="no", label_column_name="team", delimiter="\t", conll_columns="FORM,NER"
)


@pytest.fixture
def run(tmp_path):
    """The folder of a run that was told all that `TOLD` holds."""
    folder = tmp_path / "run"
    (folder / "model").mkdir(parents=True)
    (folder / "transfer.json").write_text("{}")
    (folder / "options.yaml").write_text(to_yaml(nt.ModelOptions(), TOLD, nt.TrainingOptions()))
    return folder


def test_it_holds_what_was_given_as_those_take_it_who_read_rows_for_the_model(run, monkeypatch):
    told = {"text_column_name": "no", "delimiter": "\t", "conll_columns": "FORM"}
    assert remembered_options(run) == remembered_options(run / "model") == told
    monkeypatch.chdir(run)
    assert remembered_options("model") == remembered_options(".") == told


def test_what_is_no_run_remembers_nothing(run, monkeypatch):
    monkeypatch.chdir(run)
    assert remembered_options("all-MiniLM-L6-v2") == {}  # a hub id, though the working directory is a run
    (run / "transfer.json").unlink()  # as in the folder of a comparison
    assert remembered_options(run) == {}


def test_options_of_other_versions_may_stand_in_the_file(run):
    with open(run / "options.yaml", "a") as file:
        file.write("gone_since: 3\n")
    assert remembered_options(run)["delimiter"] == "\t"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("delimiter: [", "options.yaml is not YAML: "),
        ("delimiter: {a: b}", "delimiter takes one value; got {'a': 'b'}"),
    ],
)
def test_a_damaged_file_is_named(run, text, message):
    (run / "options.yaml").write_text(text)
    with pytest.raises(nt.OptionError) as error:
        remembered_options(run)
    assert str(run / "options.yaml") in str(error.value)
    assert message in str(error.value)


def test_what_is_remembered_can_be_told_from_what_is_given():
    """The fields of those who read rows later are None, or False, until somebody gives them."""
    remembered = [field.name for field in dataclasses.fields(nt.DataOptions) if option_of(field).remembered]
    fields = {field.name: field for field in dataclasses.fields(nt.PredictionOptions)}
    assert {"text_column_name", "text_pair_column_name", "delimiter", "conll_columns"} <= {*remembered}
    assert {*remembered} <= {*fields}
    assert [name for name in remembered if fields[name].default not in (None, False)] == []
