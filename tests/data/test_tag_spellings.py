"""Tags are read as they are meant, whatever sign or case a file spells them in, and never by a guess."""

from __future__ import annotations

import json

import pytest
from datasets import ClassLabel, Dataset, Features, List, Value
from hypothesis import given, settings
from hypothesis import strategies as st

import nlp_transfer as nt
from nlp_transfer.data.label_check import check_tags
from nlp_transfer.data.read_rows import read_tagged
from nlp_transfer.data.splits import Splits
from nlp_transfer.data.tag_schemes import SCHEMES, spans, tags
from nlp_transfer.data.tag_spellings import spelling_of

PLAIN = ["B-PER", "I-PER", "O", "B-LOC", "O"]


def write(tmp_path, spelt, name="a.jsonl"):
    rows = [{"tokens": [f"w{n}" for n in range(len(some))], "tags": some} for some in spelt]
    (tmp_path / name).write_text("\n".join(map(json.dumps, rows)))
    return tmp_path / name


def fault(path, **options):
    with pytest.raises(nt.DataError) as caught:
        check_tags(Splits(read_tagged(path, **options), None, None))
    assert "\n" not in str(caught.value)
    return str(caught.value)


SPELT = {
    "under_scores": "B_PER I_PER O B_LOC O",
    "colons": "B:PER I:PER O B:LOC O",
    "dashes": "B\u2013PER I\u2013PER O B\u2212LOC O",
    "behind": "PER-B PER-I O LOC-B O",
    "behind_": "PER_B PER_I O LOC_B O",
    "glued": "BPER IPER O BLOC O",
    "lower prefix": "b-PER i-PER o b-LOC O",
    "types": "PER PER O LOC O",
    "a zero": "B-PER I-PER 0 B-LOC 0",
    "none": "PER PER none LOC none",
    "a sign": "B-PER I-PER _ B-LOC _",
    "out": "B_PER I_PER OUT B_LOC OUT",
}


@pytest.mark.parametrize("name", SPELT)
def test_spellings_that_have_one_meaning_are_read_and_told(tmp_path, name):
    spelt = SPELT[name].split()
    path = write(tmp_path, [spelt])
    rows = read_tagged(path)
    assert rows.data[0]["tags"] == PLAIN
    (note,) = rows.notes
    changed = next(tag for tag, plain in zip(spelt, PLAIN, strict=True) if tag != plain)
    assert note.startswith(f"{path}: its tags are spelt '{changed}'")
    assert ", and read as '" in note
    assert ("words beside each other that have one type" in note) == (name in ("types", "none"))
    assert rows.sha256 == read_tagged(write(tmp_path, [PLAIN], "b.jsonl")).sha256


def test_lower_case_and_tags_without_types(tmp_path):
    rows = read_tagged(write(tmp_path, [["b-per", "i-per", "o"]]))
    assert rows.data[0]["tags"] == ["B-per", "I-per", "O"]
    rows = read_tagged(write(tmp_path, [["B", "I", "O"]]))
    assert rows.data[0]["tags"] == ["B-ENTITY", "I-ENTITY", "O"]
    rows = read_tagged(write(tmp_path, [["e-mail", "O", "U-Boot", "phone"]]))
    assert rows.data[0]["tags"] == ["B-e-mail", "O", "B-U-Boot", "B-phone"]


def test_the_whole_file_decides(tmp_path):
    # A sentence of O and o alone, or with E-MAIL alone, tells nothing.
    rows = read_tagged(write(tmp_path, [["o", "o"], ["e-mail", "o"], ["b-per", "i-per"]]))
    assert rows.data[1]["tags"] == ["E-mail", "O"]
    rows = read_tagged(write(tmp_path, [["o", "o"], ["e-mail", "o"], ["per", "o"]]))
    assert rows.data[1]["tags"] == ["B-e-mail", "O"]


@pytest.mark.parametrize(
    ("spelt", "says"),
    [
        ("B-PER PER LOC O", "'PER' is neither O nor a prefix with a type such as B-PER, as 'B-PER' is"),
        ("B-PER I_PER X-LOC O", "'I_PER' is neither"),
        ("PER LOC PER", "none of the tags is O, which stands for no entity; write"),
        ("PER LOC OTHER", "none of the tags is O, which stands for no entity (does 'OTHER' stand for it?)"),
        ("PER _ _", "(does '_' stand for it?)"),
        ("PER none null", "(does 'none' stand for it?)"),
        ("PER B O", "'PER' is neither"),
        ("SpaceAfter=No O", "'SpaceAfter=No' is neither"),
        (
            "B-PER O\u200b",
            "'O\u200b' is neither O nor a prefix with a type such as B-PER (it holds U+200B ZERO WIDTH SPACE)",
        ),
    ],
)
def test_what_could_be_read_in_two_ways_is_refused_with_what_mends_it(tmp_path, spelt, says):
    assert says in fault(write(tmp_path, [spelt.split()]))


def test_a_column_of_words_is_not_one_of_types(tmp_path):
    assert "is neither O nor" in fault(write(tmp_path, [[f"lemma{chr(97 + n % 26)}{n}" for n in range(150)], ["O"]]))


@given(
    st.lists(st.sampled_from(["PER", "LOC", "x y", "E-MAIL", "B"]), min_size=1, max_size=4),
    st.sampled_from(SCHEMES),
    st.sampled_from("_:./|"),
)
@settings(max_examples=80, deadline=None)
def test_a_scheme_in_another_sign_spells_the_same_entities(types, scheme, sign):
    entities = [(kind, 3 * place, 3 * place + 2) for place, kind in enumerate(types)]
    plain = tags(entities, 3 * len(types), scheme)
    for spelt in (
        [tag.replace("-", sign, 1) for tag in plain],
        [tag if tag == "O" else f"{tag[2:]}{sign}{tag[0]}" for tag in plain],
    ):
        spelling = spelling_of(spelt)
        if spelling is not None:  # else it is refused
            assert not spelling.joins
            assert spans([spelling.tags[tag] for tag in spelt], scheme) == entities


# Numbers

NAMES = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]


@pytest.mark.parametrize("numbers", [[1, 2, 0, 3, 0], ["1", "2", "0", "3", "0"], [1.0, 2.0, 0.0, 3.0, 0.0]])
def test_numbers_are_read_by_their_names(tmp_path, numbers):
    path = write(tmp_path, [numbers])
    rows = read_tagged(path, tag_names=NAMES)
    assert rows.data[0]["tags"] == PLAIN
    assert rows.notes == (f"{path}: its tags are numbers, read as --tag_names: 0 O, 1 B-PER, 2 I-PER, 3 B-LOC ...",)
    told = fault(path)
    assert told.endswith(
        "a.jsonl: its tags are numbers (0 to 3); say what they stand for, from 0 on: --tag_names O,B-PER,I-PER,..."
    )


def test_names_of_numbers_may_be_spelt_otherwise_too(tmp_path):
    rows = read_tagged(write(tmp_path, [[1, 1, 0, 2, 0]]), tag_names=["O", "PER", "LOC"])
    assert rows.data[0]["tags"] == PLAIN


def test_numbers_that_have_no_name_are_refused(tmp_path):
    path = write(tmp_path, [[1, 0, 5]])
    assert "its tags are numbers from 0 to 5, and --tag_names names those from 0 to 4" in fault(path, tag_names=NAMES)
    path = write(tmp_path, [[1, -100, 0]])
    for given_names in ((), NAMES):
        assert "its tags hold -100, which marks pieces of words" in fault(path, tag_names=given_names)
    path = write(tmp_path, [["B-PER", "O", "B-ORG"]])
    with pytest.raises(nt.OptionError, match=r"--tag_names is for tags that are numbers; .* has 'B-PER'"):
        read_tagged(path, tag_names=NAMES)


def test_a_feature_that_names_numbers_needs_no_option(tmp_path):
    features = Features({"tokens": List(Value("string")), "tags": List(ClassLabel(names=NAMES))})
    data = Dataset.from_dict({"tokens": [list("abcde")], "tags": [[1, 2, 0, 3, 0]]}, features=features)
    data.to_parquet(tmp_path / "a.parquet")
    for source in (data, tmp_path / "a.parquet"):
        for names in ((), NAMES):  # what is named already may be named again
            assert read_tagged(source, tag_names=names).data[0]["tags"] == PLAIN


def test_the_option_takes_names_in_one_word_or_in_several(tmp_path):
    options = nt.DataOptions(tag_names=["O,B-PER", "I-PER, B-LOC"])
    assert options.tag_names == ["O", "B-PER", "I-PER", "B-LOC"]
    with pytest.raises(nt.OptionError, match="--tag_names names 'O' twice"):
        nt.DataOptions(tag_names=["O,O"])
    path = str(write(tmp_path, [[1, 2, 0, 3, 0]] * 4))
    splits = nt.load_splits(nt.DataOptions(train_file=path, tag_names=NAMES), "ner")
    assert splits.train.data[0]["tags"] == PLAIN
    assert any("read as --tag_names" in note for note in splits.notes)
    with pytest.raises(nt.OptionError, match="--tag_names is for NER"):
        nt.load_splits(nt.DataOptions(train_file=path, tag_names=NAMES), "classification")


# Blanks and unseen characters


def test_blanks_at_the_ends_of_tags_are_left_out_and_told(tmp_path):
    path = tmp_path / "a.conll"
    path.write_text("Anna\tB-PER \nmet\tO\nZoe\tB-PER\u00a0\n", "utf-8")
    rows = read_tagged(path)
    assert rows.data[0]["tags"] == ["B-PER", "O", "B-PER"]
    assert rows.notes == (
        f"{path}: 2 tags have blanks at an end, which are left out: 'B-PER' with U+0020 SPACE, "
        "'B-PER' with U+00A0 NO-BREAK SPACE.",
    )


def test_characters_that_nobody_sees_are_told(tmp_path):
    path = write(tmp_path, [["B-PER", "B-PER\u200b", "O"]])
    rows = read_tagged(path)
    assert rows.data[0]["tags"] == ["B-PER", "B-PER\u200b", "O"]
    assert rows.notes[0].endswith(
        "1 tag holds a character that nobody sees, or can tell from others: 'B-PER\u200b' with U+200B ZERO WIDTH "
        "SPACE; it is of a type of its own."
    )


def test_a_type_with_an_unseen_character_that_train_has_not_is_told_with_it(tmp_path):
    paths = [write(tmp_path, [["B-PER" + end, "O"]], f"{len(end)}.jsonl") for end in ("", "\u200b")]
    train, test = map(read_tagged, paths)
    with pytest.raises(nt.DataError, match=r"it holds U\+200B ZERO WIDTH SPACE; did you mean 'PER'"):
        check_tags(Splits(train, None, test))
