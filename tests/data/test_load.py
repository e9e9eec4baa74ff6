"""The rows of a run come from files, from a data set, or from the samples of the package."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import datasets
import pandas as pd
import pytest

import nlp_transfer as nt

PARTS = ("train", "validation", "test")


def rows_of(splits: nt.Splits) -> dict[str, list[dict]]:
    parts = {"train": splits.train, "validation": splits.validation, "test": splits.test}
    return {
        name: [{k: v for k, v in row.items() if k != "line"} for row in rows.data]
        for name, rows in parts.items()
        if rows is not None
    }


def texts(rows: list[dict]) -> list[str]:
    return [" ".join(row["words"]) if "words" in row else row["text"] for row in rows]


def files(paths: dict[str, str], *parts: str) -> nt.DataOptions:
    return nt.DataOptions(**{f"{part}_file": paths[part] for part in parts or PARTS})


def refusal(options: nt.DataOptions, task: str = "classification") -> str:
    with pytest.raises(nt.UserError) as caught:
        nt.load_splits(options, task)
    return str(caught.value)


@pytest.mark.parametrize(
    ("task", "rows", "names"), [("classification", 400, 6), ("sentiment", 300, 3), ("ner", 200, 4)]
)
def test_samples_are_many_and_of_several_labels(task, rows, names):
    found = rows_of(nt.load_splits(nt.DataOptions(), task))
    assert sum(map(len, found.values())) >= rows
    for part in found.values():
        if task == "ner":
            seen = {tag.partition("-")[2] for row in part for tag in row["tags"]} - {""}
        else:
            seen = {row["label"] for row in part}
        assert len(seen) >= names
        assert len(part) >= 30


@pytest.mark.parametrize("task", ["classification", "sentiment", "ner"])
def test_no_sample_is_in_two_places(task):
    found = rows_of(nt.load_splits(nt.DataOptions(), task))
    plain = Counter(" ".join(text.lower().split()) for part in found.values() for text in texts(part))
    assert [text for text, count in plain.items() if count > 1] == []


@pytest.mark.parametrize("task", ["classification", "sentiment", "ner"])
def test_samples_are_clean_and_always_the_same(task):
    splits = nt.load_splits(nt.DataOptions(), task)
    for text in (text for part in rows_of(splits).values() for text in texts(part)):
        assert text == text.strip()
        assert text.isprintable()
    assert rows_of(splits) == rows_of(nt.load_splits(nt.DataOptions(), task, seed=9))


def test_samples_of_a_scale_are_on_it():
    splits = nt.load_splits(nt.DataOptions(), "sentiment")
    head = nt.SentimentHead.for_splits(splits)
    assert tuple(head.labels) == ("negative", "neutral", "positive")


def test_the_samples_are_named_as_such():
    splits = nt.load_splits(nt.DataOptions(), "classification")
    assert splits.notes == (f"No --train_file: this is the sample set of {len(splits.train.data)} training rows.",)


def test_files_are_read_as_they_are(reviews, sentences):
    splits = nt.load_splits(files(reviews), "classification")
    assert {name: len(part) for name, part in rows_of(splits).items()} == {"train": 64, "validation": 16, "test": 16}
    assert splits.train.data[0]["label"] == "praise"
    assert splits.notes == ()
    tagged = nt.load_splits(files(sentences), "ner")
    assert tagged.train.data[0]["tags"] == ["B-PER", "O", "O", "B-LOC", "O"]


def test_without_a_validation_file_rows_are_held_out_and_that_is_said(reviews):
    options = replace(files(reviews, "train", "test"), validation_split_percentage=25.0)
    splits = nt.load_splits(options, "classification", seed=1)
    found = rows_of(splits)
    assert (len(found["train"]), len(found["validation"])) == (48, 16)
    whole = rows_of(nt.load_splits(files(reviews), "classification"))["train"]
    assert sorted(map(str, found["train"] + found["validation"])) == sorted(map(str, whole))
    assert Counter(row["label"] for row in found["validation"]) == {"praise": 8, "complaint": 8}
    assert splits.notes == ("No validation file: held out 16 of 64 training rows (25%), stratified by label, seed 1.",)
    again = nt.load_splits(options, "classification", seed=1)
    other = nt.load_splits(options, "classification", seed=2)
    assert rows_of(again) == found
    assert rows_of(other) != found


def test_nothing_is_held_out_where_that_is_asked_for(reviews):
    options = replace(files(reviews, "train", "test"), validation_split_percentage=0.0)
    splits = nt.load_splits(options, "classification")
    assert splits.validation is None
    assert rows_of(splits)["train"] == rows_of(nt.load_splits(files(reviews), "classification"))["train"]
    assert splits.notes == ("No validation rows: every training row is trained on, and the last weights are used.",)
    assert "no rows to score; give a --test_file" in refusal(replace(options, test_file=None))


def test_without_test_rows_it_is_said_what_the_scores_will_be_of(reviews):
    splits = nt.load_splits(files(reviews, "train", "validation"), "classification")
    assert splits.test is None
    assert splits.notes == (
        "No test rows: scores will be computed on the validation rows, which also select the best weights.",
    )


def test_rows_can_be_changed_before_any_are_held_out(tmp_path):
    path = tmp_path / "train.csv"
    path.write_text("text,label\n" + "".join(f"text {i},{i / 40 - 0.5}\n" for i in range(40)))

    def cut(rows: nt.Rows) -> nt.Rows:
        return nt.cut_into_levels(rows, ["low", "high"], [0.0])

    splits = nt.load_splits(nt.DataOptions(train_file=str(path)), "sentiment", prepare=cut)
    assert Counter(splits.validation.data["label"]) == {"low": 2, "high": 2}
    assert Counter(splits.train.data["label"]) == {"low": 18, "high": 18}


def test_bad_rows_are_left_out_when_asked_and_that_is_said(tmp_path, reviews):
    path = tmp_path / "train.csv"
    path.write_text(Path(reviews["train"]).read_text() + "no label,\n,praise\n")
    options = replace(files(reviews), train_file=str(path))
    assert "1 row with no label (line 66), 1 row with no text (line 67)" in refusal(options)
    splits = nt.load_splits(replace(options, skip_bad_rows=True), "classification")
    assert rows_of(splits) == rows_of(nt.load_splits(files(reviews), "classification"))
    assert splits.notes == (f"{path}: left out 2 bad rows (lines 66, 67).",)


@pytest.fixture
def hub_folder(tmp_path, reviews, monkeypatch) -> Path:
    """A data set as the hub keeps it: a folder of files named by their splits."""
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "reviews"
    folder.mkdir()
    for part in PARTS:
        (folder / f"{part}.csv").write_text(Path(reviews[part]).read_text())
    return folder


def test_a_data_set_gives_the_rows_of_its_files(hub_folder, reviews):
    splits = nt.load_splits(nt.DataOptions(dataset_name=str(hub_folder)), "classification")
    from_files = nt.load_splits(files(reviews), "classification")
    assert rows_of(splits) == rows_of(from_files)
    assert splits.train.sha256 == from_files.train.sha256
    assert splits.train.unit == "line"  # its files are read as any file is


def test_a_data_set_of_one_split_is_parted(hub_folder):
    (hub_folder / "validation.csv").unlink()
    (hub_folder / "test.csv").unlink()
    splits = nt.load_splits(nt.DataOptions(dataset_name=str(hub_folder)), "classification")
    found = rows_of(splits)
    assert {name: len(part) for name, part in found.items()} == {"train": 58, "validation": 6}
    assert len(splits.notes) == 2


def test_a_data_set_of_sentences(tmp_path, monkeypatch):
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "names"
    folder.mkdir()
    row = {"tokens": ["Anna", "was", "in", "Oslo"], "ner_tags": ["B-PER", "O", "O", "B-LOC"]}
    for part in PARTS:
        (folder / f"{part}.jsonl").write_text(3 * (json.dumps(row) + "\n"))
    splits = nt.load_splits(nt.DataOptions(dataset_name=str(folder)), "ner")
    assert rows_of(splits)["test"] == 3 * [{"words": row["tokens"], "tags": row["ner_tags"]}]


def test_a_data_set_without_a_train_split_names_its_splits(hub_folder):
    (hub_folder / "train.csv").unlink()
    message = refusal(nt.DataOptions(dataset_name=str(hub_folder)))
    assert message.startswith(f"{hub_folder} has no split named train")
    assert message.endswith("its splits are: validation, test.")


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ({"dataset_name": "a", "train_file": "b.csv"}, "--dataset_name and --train_file both"),
        ({"dataset_name": "a", "test_file": "b.csv"}, "--dataset_name and --test_file both"),
        ({"validation_file": "b.csv"}, "--validation_file needs a --train_file"),
        ({"test_file": "b.csv"}, "--test_file needs a --train_file"),
        ({"dataset_config_name": "en"}, "--dataset_config_name needs the --dataset_name"),
        ({"validation_split_percentage": -1.0}, "must lie in [0, 100); got -1"),
        ({"validation_split_percentage": 100.0}, "must lie in [0, 100); got 100"),
        ({"validation_split_percentage": float("nan")}, "must lie in [0, 100); got nan"),
    ],
)
def test_options_that_clash_are_refused(options, wanted):
    assert wanted in refusal(nt.DataOptions(**options))


def test_labels_and_tags_are_checked(reviews, sentences, tmp_path):
    other = tmp_path / "test.csv"
    other.write_text("text,label\nwell,blame\n")
    assert "blame" in refusal(replace(files(reviews), test_file=str(other)))
    tagged = tmp_path / "test.conll"
    tagged.write_text("Oslo\tB-PLACE\n")
    assert "PLACE" in refusal(replace(files(sentences), test_file=str(tagged)), "ner")


@pytest.mark.parametrize(
    ("task", "hint"),
    [
        ("irony", "the kinds are classification, sentiment, ner."),
        ("multi_label", "the kinds are classification, sentiment, ner."),
        ("sentiments", "did you mean sentiment?"),
    ],
)
@pytest.mark.parametrize("options", [nt.DataOptions(), nt.DataOptions(train_file="rows.csv")])
def test_an_unknown_kind_of_rows_is_refused_with_the_nearest(options, task, hint):
    assert refusal(options, task) == f"there is no kind of rows '{task}'; {hint}"


# Test rows without labels


@pytest.mark.parametrize(
    "lines",
    [
        ["text", "a", "b"],
        ["text,label", "a,", "b,"],
        ["text,label", "a,-1", "b,-1"],
        ["text,label", "a,?", "b,?"],
        ["text,label", "a,NaN", "b,-1.0"],
    ],
    ids=["no column", "empty", "-1", "?", "NaN"],
)
def test_a_test_file_without_labels_is_noted_and_not_scored(tmp_path, reviews, lines):
    (tmp_path / "bare.csv").write_text("\n".join(lines))
    options = nt.DataOptions(train_file=reviews["train"], test_file=str(tmp_path / "bare.csv"))
    splits = nt.load_splits(options, "classification")
    assert splits.test is None
    assert list(splits.unlabelled.data["text"]) == ["a", "b"]
    assert any("none of the 2 test rows has a label; they are predicted, and not scored" in n for n in splits.notes)
    validation = nt.DataOptions(train_file=reviews["train"], validation_file=str(tmp_path / "bare.csv"))
    splits = nt.load_splits(validation, "classification")
    assert splits.held_out_share == 0.1
    assert any("validation rows has a label; they are left out" in note for note in splits.notes)


def test_frames_and_minus_one_among_the_labels(tmp_path):
    train = pd.DataFrame({"text": [f"t{i}" for i in range(30)], "label": [i % 3 - 1 for i in range(30)]})
    test = pd.DataFrame({"text": ["a", "b"], "label": [-1, -1]})
    splits = nt.splits_from(train, test=test)
    assert list(splits.test.data["label"]) == ["-1", "-1"]
    splits = nt.splits_from(train, test=test.assign(label=None))
    assert (splits.test, len(splits.unlabelled.data)) == (None, 2)


def test_what_is_read_of_rows_without_labels_is_said(tmp_path, reviews):
    (tmp_path / "bare.csv").write_text('text;label\n"a\nb";\n ;\n')
    options = nt.DataOptions(train_file=reviews["train"], test_file=str(tmp_path / "bare.csv"), skip_bad_rows=True)
    notes = " ".join(nt.load_splits(options, "classification").notes)
    assert "left out 1 bad row (line 4)" in notes
    assert "columns are separated by a semicolon" in notes
    assert "3 lines give 2 rows" in notes


def test_one_label_in_a_test_file_makes_the_others_bad_rows(tmp_path, reviews):
    (tmp_path / "half.csv").write_text("text,label\na,praise\nb,\n")
    with pytest.raises(nt.DataError, match=r"half.csv has 1 row with no label \(line 3\)"):
        nt.load_splits(
            nt.DataOptions(train_file=reviews["train"], test_file=str(tmp_path / "half.csv")), "classification"
        )


def test_training_rows_without_labels_are_refused(tmp_path):
    (tmp_path / "bare.csv").write_text("text,label\na,\nb,\n")
    with pytest.raises(nt.DataError, match=r"no label"):
        nt.load_splits(nt.DataOptions(train_file=str(tmp_path / "bare.csv")), "classification")


# One way to read local files


def test_a_folder_is_read_as_its_files_are(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    (tmp_path / "set" / "data").mkdir(parents=True)
    rows = "text;label\n" + "".join(f"text {i};{'01' if i % 2 else 'NA'}\n" for i in range(20))
    for part in ("train-0", "train-1", "dev", "test"):
        (tmp_path / "set" / "data" / f"{part}.csv").write_text(rows)
    splits = nt.load_splits(nt.DataOptions(dataset_name=str(tmp_path / "set")), "classification")
    assert set(splits.train.data["label"]) == {"01", "NA"}
    assert len(splits.train.data) == 40
    assert splits.validation.source.endswith("dev.csv")
    wrong = nt.DataOptions(dataset_name=str(tmp_path / "set"), delimiter=",")
    with pytest.raises(nt.DataError, match="seems to separate its columns by ';'"):
        nt.load_splits(wrong, "classification")


def test_names_of_ids_in_a_readme_and_files_that_are_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    (folder := tmp_path / "set").mkdir()
    (folder / "train.csv").write_text("text,label\n" + "".join(f"t{i},{i % 2}\n" for i in range(20)))
    (folder / "notes.jsonl").write_text('{"text": "a"}\n')
    (folder / "README.md").write_text(
        "---\ndataset_info:\n  features:\n  - name: text\n    dtype: string\n  - name: label\n    dtype:\n"
        "      class_label:\n        names:\n          '0': neg\n          '1': pos\n---\n"
    )
    splits = nt.load_splits(nt.DataOptions(dataset_name=str(folder)), "classification")
    assert set(splits.train.data["label"]) == {"neg", "pos"}
    assert any("not read: notes.jsonl" in note for note in splits.notes)


@pytest.mark.parametrize("tags", [None, [], [-1, -1], ["", ""]], ids=["absent", "no list", "-1", "empty"])
def test_sentences_without_tags_are_predicted_and_not_scored(tmp_path, sentences, tags):
    row = {"tokens": ["Ann", "sat"]} | ({} if tags is None else {"tags": tags})
    (tmp_path / "test.jsonl").write_text("\n".join([json.dumps(row)] * 2))
    options = nt.DataOptions(train_file=sentences["train"], test_file=str(tmp_path / "test.jsonl"))
    splits = nt.load_splits(options, "ner")
    assert splits.test is None
    assert list(splits.unlabelled.data["words"]) == [["Ann", "sat"]] * 2
    assert any("none of the 2 test rows has a tag" in note for note in splits.notes)
