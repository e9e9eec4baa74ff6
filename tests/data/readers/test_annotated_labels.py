"""Labels of texts as Label Studio and Prodigy write them, in all their exports."""

from __future__ import annotations

import json

import pytest

import nlp_transfer as nt
from nlp_transfer.data.prediction_rows import open_texts
from nlp_transfer.data.read_rows import read_classification


def write(path, rows):
    text = json.dumps(rows) if path.suffix == ".json" else "\n".join(map(json.dumps, rows))
    path.write_text(text, encoding="utf-8")
    return path


def task(text, *items, **annotation):
    result = [
        {"value": value, "from_name": name, "to_name": "text", "type": next(iter(value))} for name, value in items
    ]
    return {"data": {"text": text}, "annotations": [{"result": result, **annotation}], "predictions": []}


def labels(rows):
    return list(rows.data["label"])


def test_choices_beside_other_items(tmp_path):
    rows = [
        task("one", ("mood", {"choices": ["good"]}), ("why", {"text": ["because"]}), ("stars", {"rating": 4})),
        task("two", ("mood", {"choices": ["bad", "sad"]}), ("who", {"start": 0, "end": 3, "labels": ["PER"]})),
        {**task("three", ("mood", {"choices": ["good"]})), "predictions": [{"result": []}]},
    ]
    path = write(tmp_path / "a.json", rows)
    read = read_classification(path)
    assert labels(read) == [["good"], ["bad", "sad"], ["good"]]
    assert "labels are the choices of 'mood'" in read.notes[0]
    assert [
        text.text for text in open_texts(nt.PredictionOptions("m", input_file=str(path), output_file="o"), tagged=False)
    ] == ["one", "two", "three"]


def test_one_of_several_controls_is_named(tmp_path):
    rows = [task("one", ("mood", {"choices": ["good"]}), ("topic", {"choices": ["sport"]}), ("stars", {"rating": 4}))]
    path = write(tmp_path / "a.json", rows)
    with pytest.raises(nt.DataError, match=r"several kinds, mood, topic; name one with --label_column_name"):
        read_classification(path)
    assert labels(read_classification(path, label_column="topic")) == [["sport"]]
    assert labels(read_classification(path, label_column="stars")) == ["4"]
    with pytest.raises(nt.DataError, match=r"no annotation comes from 'kind'; name one of mood, topic, stars"):
        read_classification(path, label_column="kind")


def test_a_taxonomy_is_a_path(tmp_path):
    rows = [
        task("one", ("kind", {"taxonomy": [["animal", "cat"], ["animal", "dog"]]})),
        task("two", ("kind", {"taxonomy": []})),
    ]
    assert labels(read_classification(write(tmp_path / "a.json", rows))) == [["animal/cat", "animal/dog"], []]


def test_annotations_that_were_skipped_differ_or_are_missing(tmp_path):
    good, bad = ("mood", {"choices": ["good"]}), ("mood", {"choices": ["bad"]})
    twice = task("twice", good)
    twice["annotations"] *= 2
    differ = task("differ", good)
    differ["annotations"] += task("", bad)["annotations"]
    truth = task("truth", good)
    truth["annotations"] += task("", bad, ground_truth=True)["annotations"]
    rows = [task("one", good), task("skipped", bad, was_cancelled=True), twice, truth]
    read = read_classification(write(tmp_path / "a.json", rows))
    assert labels(read) == [["good"], ["good"], ["bad"]]
    assert read.left_out == (2,)
    assert any("left out 1 row with an annotation that was skipped or rejected (row 2)" in note for note in read.notes)
    none = {"data": {"text": "none"}, "annotations": []}
    odd = task("odd", ("mood", {"choices": "good"}))
    with pytest.raises(
        nt.DataError, match=r"differ.*\(row 2\), 1 row with no annotation \(row 3\), 1 row with choices"
    ):
        read_classification(write(tmp_path / "b.json", [task("one", good), differ, none, odd]))


def test_small_exports_of_json_and_csv(tmp_path):
    small = [{"id": 1, "text": "one", "topics": {"choices": ["a", "b"]}}, {"id": 2, "text": "two", "topics": "a"}]
    assert labels(read_classification(write(tmp_path / "a.json", small))) == [["a", "b"], ["a"]]
    lines = ["text,id,sentiment,annotator", 'one,1,"{""choices"": [""a"", ""b""]}",7', "two,2,a,7"]
    (tmp_path / "a.csv").write_text("\n".join(lines))
    assert labels(read_classification(tmp_path / "a.csv")) == [["a", "b"], ["a"]]


def test_what_an_annotator_of_prodigy_rejected_is_left_out_and_told(tmp_path):
    answers = ["accept", "reject", "ignore", "accept"]
    rows = [{"text": f"t{i}", "label": "SPAM", "answer": answer, "_input_hash": i} for i, answer in enumerate(answers)]
    read = read_classification(write(tmp_path / "a.jsonl", rows))
    assert list(read.data["text"]) == ["t0", "t3"]
    assert read.left_out == (2, 3)
    assert "left out 1 row with the answer 'reject' (line 2), 1 row with the answer 'ignore' (line 3)" in read.notes[-1]
    for row in rows:
        row |= {"options": [{"id": "SPAM"}, {"id": "HAM"}], "accept": ["HAM"]}
        del row["label"]
    assert labels(read_classification(write(tmp_path / "b.jsonl", rows))) == [["HAM"], ["HAM"]]


def test_an_answer_that_is_a_text_is_none_of_prodigy(tmp_path):
    rows = [
        {"question": f"q{i}", "answer": answer, "label": "ab"[i % 2]}
        for i, answer in enumerate(["accept", "no", "reject"])
    ]
    read = read_classification(write(tmp_path / "a.jsonl", rows))
    assert len(read.data) == 3
    named = read_classification(
        write(tmp_path / "b.jsonl", [r | {"answer": "reject"} for r in rows]), label_column="answer"
    )
    assert len(named.data) == 3


def test_an_odd_answer_keeps_no_rejected_row(tmp_path):
    answers = ["accept", "reject", "", "Reject", "skip", *["accept"] * 9]
    rows = [{"text": f"t{i}", "label": "AB"[i % 2], "Answer": answer} for i, answer in enumerate(answers)]
    assert read_classification(write(tmp_path / "a.jsonl", rows)).left_out == (2, 4, 5)
    late = [{"text": f"t{i}", "label": "AB"[i % 2]} for i in range(120)] + [
        {"text": "x", "label": "A", "answer": "reject"}
    ]
    assert read_classification(write(tmp_path / "b.jsonl", late)).left_out == (121,)


def test_what_others_refused_is_left_out(tmp_path):
    rows = [
        task("one", ("mood", {"choices": ["good"]})),
        task("two", ("mood", {"choices": ["bad"]}), reviews=[{"accepted": False}]),
    ]
    assert read_classification(write(tmp_path / "a.json", rows)).left_out == (2,)
    argilla = [
        {"text": f"t{i}", "annotation": "ab"[i % 2], "status": s}
        for i, s in enumerate(["Validated", "Discarded", "Validated"])
    ]
    assert read_classification(write(tmp_path / "b.jsonl", argilla), label_column="annotation").left_out == (2,)


def test_annotators_who_agree_in_another_order(tmp_path):
    row = task("one", ("mood", {"choices": ["a", "b"]}))
    row["annotations"] += task("", ("mood", {"choices": ["b", "a"]}))["annotations"]
    assert labels(read_classification(write(tmp_path / "a.json", [row]))) == [["a", "b"]]


def test_ratings_and_taxonomies_of_small_exports(tmp_path):
    stars = [{"text": "one", "stars": [{"rating": 4}]}, {"text": "two", "stars": [{"rating": 2}]}]
    assert labels(read_classification(write(tmp_path / "a.json", stars), label_column="stars")) == [["4"], ["2"]]
    kinds = [{"text": "one", "kind": [{"taxonomy": [["food", "pizza"]]}]}]
    assert labels(read_classification(write(tmp_path / "b.json", kinds))) == [["food/pizza"]]
    (tmp_path / "c.csv").write_text('text,kinds\none,"{""choices"": [""a"", ""b""]}"\ntwo,a\n')
    assert labels(read_classification(tmp_path / "c.csv")) == [["a", "b"], ["a"]]


def test_tasks_without_annotations_are_rows_without_labels(tmp_path):
    train = write(
        tmp_path / "a.json", [task(f"t{i}", ("mood", {"choices": ["good" if i % 2 else "bad"]})) for i in range(20)]
    )
    test = write(tmp_path / "b.json", [{"data": {"text": f"t{i}"}, "annotations": []} for i in range(3)])
    splits = nt.load_splits(nt.DataOptions(train_file=str(train), test_file=str(test)), "classification")
    assert list(splits.unlabelled.data["text"]) == ["t0", "t1", "t2"]
