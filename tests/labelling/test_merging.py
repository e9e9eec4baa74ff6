"""What comes back is matched and kept; what does not fit is said in one line, and nothing of it is lost."""

from __future__ import annotations

import json
import re

import pytest
from loops import GOLD, LABELS, annotated, beginning, options, quick_encoder, rows_in, state_of, texts_of

from nlp_transfer.errors import DataError, OptionError
from nlp_transfer.labelling.batch_formats import ROW_ID
from nlp_transfer.labelling.merging import merge_file
from nlp_transfer.labelling.next_batch import next_batch

__all__ = ["quick_encoder"]


@pytest.fixture
def batch(tmp_path):
    return next_batch(beginning(tmp_path))


def merge(tmp_path, path, **given):
    return merge_file(options(tmp_path, labelled_file=str(path), **given))


def listed(tmp_path):
    return [json.loads(line) for path in (tmp_path / "labelling" / "problems").glob("*") for line in path.open()]


def test_a_batch_comes_back_and_a_second_time_changes_nothing(batch, tmp_path):
    back = annotated(batch, tmp_path / "back.csv")
    content = back.read_bytes()
    merged = merge(tmp_path, back)
    assert len(merged.new) == 20
    texts = texts_of(tmp_path)
    assert state_of(tmp_path)["answers"] == {row[ROW_ID]: GOLD[texts[row[ROW_ID]]] for row in rows_in(batch)}
    before = (tmp_path / "labelling" / "state.json").read_bytes()
    again = merge(tmp_path, back)
    assert (again.new, again.same) == ([], 20)
    assert (tmp_path / "labelling" / "state.json").read_bytes() == before
    assert back.read_bytes() == content


def test_rows_without_ids_are_known_by_their_texts(batch, tmp_path):
    def change(rows):
        for row in rows:
            row[ROW_ID], row["text"] = "", f"  {row['text'].replace(' ', '  ')}\n"

    assert len(merge(tmp_path, annotated(batch, tmp_path / "back.csv", change)).new) == 20


def test_an_unknown_id_beside_a_known_text_is_told(batch, tmp_path, caplog):
    def change(rows):
        rows[0][ROW_ID] = "17"

    assert len(merge(tmp_path, annotated(batch, tmp_path / "back.csv", change)).new) == 20
    assert "1 row with an unknown id is known by the text" in caplog.text


def rename(rows):
    rows[0][ROW_ID], rows[0]["text"] = "r0", "another text"


def edit(rows):
    rows[0]["text"] += " and more"


def swap(rows):
    rows[0][ROW_ID], rows[1][ROW_ID] = rows[1][ROW_ID], rows[0][ROW_ID]


def mislabel(rows):
    rows[0]["label"] = "prase"


def contradict(rows):
    rows.append({**rows[0], "label": next(name for name in LABELS if name != rows[0]["label"])})


def forget(rows):
    rows[0][ROW_ID], rows[0]["text"] = "", "another text"


@pytest.mark.parametrize(
    ("change", "said", "rows", "kept"),
    [
        (rename, r"1 row with an unknown id, and with a text that was not given out 'r0' \(line 2\)", 1, 19),
        (edit, r"1 row whose text is not the one that was given out \(line 2\)", 1, 19),
        (swap, r"2 rows with the text of another row than the one of its id 'r\w+', 'r\w+' \(lines 2, 3\)", 2, 18),
        (mislabel, r"1 row with an unknown label 'prase' \(line 2\)", 1, 19),
        (contradict, r"2 rows that come twice with two answers 'r\w+' \(lines 2, 22\)", 2, 19),
        (forget, r"1 row without an id, and with a text that was not given out \(line 2\)", 1, 19),
    ],
)
def test_rows_that_do_not_fit_are_one_line_and_listed_and_all_others_are_kept(
    batch, tmp_path, change, said, rows, kept
):
    back = annotated(batch, tmp_path / "back.csv", change)
    content = back.read_bytes()
    with pytest.raises(DataError, match=rf"back.csv: {kept} rows are merged, and these are not: .*") as error:
        merge(tmp_path, back)
    assert "\n" not in str(error.value)
    assert re.search(said, str(error.value))
    assert len(state_of(tmp_path)["answers"]) == kept
    assert len(listed(tmp_path)) == rows
    texts = {row["text"] for row in listed(tmp_path)}
    assert texts <= {row["text"] for row in rows_in(back)}
    assert back.read_bytes() == content
    before = (tmp_path / "labelling" / "state.json").read_bytes()
    with pytest.raises(DataError):
        merge(tmp_path, back)
    assert (tmp_path / "labelling" / "state.json").read_bytes() == before
    assert len(list((tmp_path / "labelling" / "problems").iterdir())) == 1
    assert merge(tmp_path, back, skip_bad_rows=True).new == []


def test_what_is_listed_can_be_mended_and_merged(batch, tmp_path):
    with pytest.raises(DataError, match=r"All of them are in (\S+)"):
        merge(tmp_path, annotated(batch, tmp_path / "back.csv", mislabel))
    (path,) = (tmp_path / "labelling" / "problems").iterdir()
    mended = tmp_path / "mended.jsonl"
    mended.write_text(path.read_text().replace("prase", "praise"))
    assert len(merge(tmp_path, mended).new) == 1
    assert len(state_of(tmp_path)["answers"]) == 20


def test_rows_that_are_missing_stay_out_and_come_later(batch, tmp_path, caplog):
    caplog.set_level("INFO")
    merge(tmp_path, annotated(batch, tmp_path / "some.csv", lambda rows: rows[:12]))
    assert "Batch 1: 8 of 20 rows are still out." in caplog.text
    assert len(merge(tmp_path, annotated(batch, tmp_path / "all.csv")).new) == 8


def test_rows_without_a_label_stay_out(batch, tmp_path):
    def change(rows):
        for row in rows[5:]:
            row["label"] = " "

    merged = merge(tmp_path, annotated(batch, tmp_path / "back.csv", change))
    assert (len(merged.new), merged.unlabelled) == (5, 15)


def test_a_file_that_was_not_looked_at_is_noticed_by_its_rows_to_check(tmp_path, caplog):
    batch = next_batch(beginning(tmp_path, text_file=str(raw_copy(tmp_path)), rows=40))
    state = state_of(tmp_path)["batches"][0]
    assert state["check"]
    assert {row[ROW_ID] for row in rows_in(batch) if not row["label"]} == set(state["check"])
    merge(tmp_path, batch)
    assert "to check has a label; only those are not pre-filled" in caplog.text


def raw_copy(tmp_path):
    path = tmp_path / "other.jsonl"
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in GOLD))
    return path


def test_the_last_answer_counts_and_the_one_before_is_told(batch, tmp_path, caplog):
    merge(tmp_path, annotated(batch, tmp_path / "first.csv"))

    def change(rows):
        rows[0]["label"] = next(name for name in LABELS if name != rows[0]["label"])
        return rows[:1]

    assert len(merge(tmp_path, annotated(batch, tmp_path / "second.csv", change)).new) == 1
    (now,) = rows_in(tmp_path / "second.csv")
    assert state_of(tmp_path)["answers"][now[ROW_ID]] == now["label"]
    assert f"the answer of row {now[ROW_ID]} is now '{now['label']}'; it was" in caplog.text
    assert merge(tmp_path, tmp_path / "first.csv").new == []  # an old file takes nothing back
    assert state_of(tmp_path)["answers"][now[ROW_ID]] == now["label"]


def test_rejected_rows_are_not_offered_again_unless_asked(batch, tmp_path, caplog):
    caplog.set_level("INFO")
    back = tmp_path / "back.jsonl"
    rows = rows_in(batch)
    lines = [{"text": row["text"], ROW_ID: row[ROW_ID], "label": "praise", "answer": "accept"} for row in rows]
    for line in lines[:3]:
        line["answer"] = "reject"
    back.write_text("".join(json.dumps(line) + "\n" for line in lines))
    merged = merge(tmp_path, back)
    assert (len(merged.new), len(merged.rejected)) == (17, 3)
    assert "3 rejected, which are not offered again (next --offer_again does)" in caplog.text
    rejected = set(state_of(tmp_path)["rejected"])
    assert rejected == {line[ROW_ID] for line in lines[:3]}
    assert not rejected & {row[ROW_ID] for row in rows_in(next_batch(options(tmp_path, rows=40)))}
    assert rejected <= {row[ROW_ID] for row in rows_in(next_batch(options(tmp_path, rows=43, offer_again=True)))}
    assert state_of(tmp_path)["rejected"] == {}


def test_what_cannot_be_read_changes_nothing(batch, tmp_path):
    before = (tmp_path / "labelling" / "state.json").read_bytes()
    bad = tmp_path / "bad.csv"
    for content, said in (("a,b\n1,2\n", "no column"), ("", "is empty"), ("text,label\n", "no rows")):
        bad.write_text(content)
        with pytest.raises(DataError, match=said):
            merge(tmp_path, bad)
    with pytest.raises(DataError, match="does not exist"):
        merge(tmp_path, tmp_path / "missing.csv")
    with pytest.raises(OptionError, match="--labelled_file is missing"):
        merge_file(options(tmp_path))
    assert (tmp_path / "labelling" / "state.json").read_bytes() == before
