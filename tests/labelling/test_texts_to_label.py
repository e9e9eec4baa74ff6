"""Raw texts have ids that last, and those that check the score are a random tenth that stays."""

from __future__ import annotations

import pytest
from loops import options

from nlp_transfer.errors import DataError, OptionError
from nlp_transfer.labelling.texts_to_label import check_order, id_of, read_raw_texts


def test_an_id_is_that_of_the_text_and_begins_with_a_letter():
    assert id_of("a b") == id_of(" a\n b ") != id_of("A b")
    assert all(id_of(str(number)).startswith("r") for number in range(50))


def test_a_text_that_repeats_is_one(tmp_path):
    path = tmp_path / "raw.csv"
    path.write_text('text\none\ntwo\none\n"one "\n', encoding="utf-8")
    raw = read_raw_texts(options(tmp_path, text_file=str(path)))
    assert [(text.text, text.line) for text in raw.texts] == [("one", 2), ("two", 3)]
    assert raw.repeats == 2


def test_rows_to_check_are_a_tenth_and_stay_when_others_join():
    ids = [id_of(str(number)) for number in range(3000)]
    some, more = check_order(ids[:1500], 1), check_order(ids, 1)
    assert 240 < len(more) < 360
    assert [name for name in more if name in set(ids[:1500])] == some
    assert check_order(reversed(ids), 1) == more
    assert set(check_order(ids, 2)) != set(more)
    assert sorted(more) != more  # in an order that says nothing of the ids


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("raw.csv", 'text,n\none,1\n\n" ",2\n', "1 row with no text \\(line 4\\)"),
        ("raw.csv", "title,body\na,b\n", "raw.csv has no column .*--text_column_name"),
        ("raw.csv", "text\n", "holds a header and no rows"),
        ("raw.csv", "", "raw.csv is empty"),
        ("raw.txt", "\n\n", "raw.txt"),
        ("raw.json", "{", "broken JSON"),
    ],
)
def test_a_file_without_texts_is_refused_in_one_line(tmp_path, name, content, said):
    (tmp_path / name).write_text(content)
    with pytest.raises((DataError, OptionError), match=said) as error:
        read_raw_texts(options(tmp_path, text_file=str(tmp_path / name)))
    assert "\n" not in str(error.value)


def test_rows_without_a_text_may_be_left_out(tmp_path):
    (tmp_path / "raw.csv").write_text('text,n\none,1\n" ",2\n')
    raw = read_raw_texts(options(tmp_path, text_file=str(tmp_path / "raw.csv"), skip_bad_rows=True))
    assert [text.text for text in raw.texts] == ["one"]
    assert raw.skipped == 1
