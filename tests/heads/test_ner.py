"""Every word of a text gets one tag, tags spell entities, and entities stand where the text has them."""

from __future__ import annotations

import json
import re
import shutil

import numpy as np
import pytest
import torch
from conftest import FAMILIES, NAMES, byte_level_tokenizer, word_tokenizer
from datasets import Dataset
from hypothesis import given, settings
from hypothesis import strategies as st

import nlp_transfer as nt
from nlp_transfer.data import tag_schemes
from nlp_transfer.data.inputs import TokenInputs
from nlp_transfer.data.read_rows import read_tagged
from nlp_transfer.data.rows import Rows
from nlp_transfer.data.splits import Splits
from nlp_transfer.data.tag_schemes import SCHEMES
from nlp_transfer.data.windows import windows
from nlp_transfer.data.word_windows import join_words
from nlp_transfer.heads.task_head import IGNORED
from nlp_transfer.models.inference import infer

unhurried = settings(deadline=None, max_examples=40)


@pytest.fixture(scope="module")
def tagger(checkpoint):
    """A tagger whose predictions differ between words: its last layer is random and large."""
    model = nt.TransferModel.load(checkpoint(), nt.NERHead(["PER", "LOC"]))
    torch.manual_seed(1)
    torch.nn.init.normal_(model.network.classifier.weight)
    return model


def encode(model, rows, max_length=64):
    return model.head.encode(rows, model.tokenizer, max_length)


def test_the_first_subword_carries_the_label(checkpoint):
    model = nt.TransferModel.load(checkpoint(), nt.NERHead(["PER", "LOC"]))
    rows = {"words": [["Anna", "was", "in", "Oslo", "."]], "tags": [["B-PER", "O", "O", "B-LOC", "O"]]}
    features = encode(model, rows)
    spelt = model.tokenizer.convert_ids_to_tokens(features["input_ids"][0])
    assert spelt == ["<cls>", "an", "##na", "was", "in", "os", "##lo", ".", "<sep>"]
    ids = model.head.labels.id
    no = IGNORED
    assert features["labels"] == [[no, ids("B-PER"), no, ids("O"), ids("O"), ids("B-LOC"), no, ids("O"), no]]
    assert features["starts"] == [[1, 3, 4, 5, 7]]
    assert features["row"] == [0]
    assert "labels" not in encode(model, {"words": rows["words"]})


def test_a_word_that_the_tokenizer_has_nothing_for_is_unknown(tagger):
    words = ["Anna", "\u200d", "", " ", "\ufeff", "Oslo"]
    features = encode(tagger, {"words": [words], "tags": [["B-PER", "O", "O", "O", "O", "B-LOC"]]})
    spelt = tagger.tokenizer.convert_ids_to_tokens(features["input_ids"][0])
    assert len(features["starts"][0]) == len(words)
    assert spelt[1:3] == ["an", "##na"]
    assert [spelt[i] for i in features["starts"][0][2:4]] == ["<unk>", "<unk>"]
    (prediction,) = tagger.predict([words])
    assert prediction.words == tuple(words)
    assert len(prediction.tags) == len(prediction.probabilities) == len(words)


def test_a_word_without_tokens_needs_no_unknown_token(checkpoint, tmp_path):
    """Byte-level vocabularies may have none."""
    folder = shutil.copytree(checkpoint("modernbert"), tmp_path / "encoder")
    config = json.loads((folder / "tokenizer_config.json").read_text())
    del config["unk_token"]
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    model = nt.TransferModel.load(folder, nt.NERHead(["PER"]))
    assert model.tokenizer.unk_token_id is None
    (prediction,) = model.predict([["Anna", "", "\u00a0", "Oslo"]])
    assert len(prediction.tags) == 4


@pytest.mark.parametrize("max_length", [3, 4, 16, 64])
def test_every_word_of_a_long_text_is_predicted_once(checkpoint, tagger, max_length):
    words = [(NAMES[i % 8], "was", "extraordinarily", ".")[i % 4] for i in range(500)]
    tags = [("B-PER", "O", "O", "O")[i % 4] for i in range(500)]
    features = encode(tagger, {"words": [words, ["Anna"]], "tags": [tags, ["B-LOC"]]}, max_length)
    assert max(map(len, features["input_ids"])) <= max_length
    assert features["row"] == sorted(features["row"])
    labelled = [
        [label for labels, of in zip(features["labels"], features["row"], strict=True) if of == row for label in labels]
        for row in (0, 1)
    ]
    ids = [[label for label in labels if label != IGNORED] for labels in labelled]
    assert ids == tagger.head.targets([tags, ["B-LOC"]])
    model = nt.TransferModel(tagger.network, tagger.head, tagger.tokenizer, max_length)
    predictions = model.predict([words, ["Anna"]])
    assert [len(p.tags) for p in predictions] == [500, 1]
    assert predictions[0].words == tuple(words)


def test_a_long_text_is_scored_as_its_windows_are(tagger):
    words = [(NAMES[i % 8], "was", "extraordinarily", "in", ".")[i * i % 5] for i in range(120)]

    def logits(texts):
        inputs = TokenInputs(Dataset.from_dict(encode(tagger, {"words": texts}, 32)), tagger.pad_id)
        return infer(tagger.network, tagger.head, inputs)

    lengths = [len(tagger.tokenizer(word, add_special_tokens=False)["input_ids"]) for word in words]
    cuts = windows(lengths, 30)
    alone = logits([words[cut.start : cut.end] for cut in cuts])
    own = [part[cut.own - cut.start : cut.own_end - cut.start] for part, cut in zip(alone, cuts, strict=True)]
    np.testing.assert_allclose(np.concatenate(logits([words])), np.concatenate(own), atol=1e-5)


def test_the_log_says_how_many_words_were_lost(tagger, caplog):
    rows = {"words": [["Anna"] * 200, ["Oslo"] * 3], "tags": [["B-PER"] * 200, ["B-LOC"] * 3]}
    with caplog.at_level("INFO", "nlp_transfer"):
        features = tagger.encode(Dataset.from_dict(rows), "Training rows")
    assert len(features) > 2
    (line,) = caplog.messages
    assert line == (
        f"Training rows: 2 texts, 1 of them longer than the encoder, {len(features) - 1} overlapping windows, "
        "203 words, 0 words lost."
    )
    short = {"row": [0], "starts": [[1, 2]]}
    assert tagger.head.account({"words": [["Anna", "met", "Jo"]]}, short)["words lost"] == 1


def test_a_word_longer_than_the_encoder_loses_its_end_and_not_its_label(tagger):
    words = ["Anna", "z" * 300, "Oslo"]
    features = encode(tagger, {"words": [words], "tags": [["B-PER", "O", "B-LOC"]]}, 16)
    labels = [label for row in features["labels"] for label in row if label != IGNORED]
    assert labels == tagger.head.targets([["B-PER", "O", "B-LOC"]])[0]
    assert all(row[0] == 1 and row[-1] == 2 and len(row) <= 16 for row in features["input_ids"])


@unhurried
@given(scheme=st.sampled_from(SCHEMES), words=st.integers(0, 12), seed=st.integers(0, 10_000))
def test_no_logits_give_an_impossible_sequence(scheme, words, seed):
    head = nt.NERHead(["PER", "LOC"], scheme)
    logits = np.random.default_rng(seed).normal(0, 20, size=(words, len(head.labels))).astype(np.float32)
    (prediction,) = head.decode([logits], {"words": [[f"w{i}" for i in range(words)]]})
    assert tag_schemes.violations(prediction.tags, scheme) == []
    text, offsets = join_words(prediction.words)
    for span, (kind, first, end) in zip(prediction.spans, tag_schemes.spans(prediction.tags, scheme), strict=True):
        assert (span.type, span.start, span.end) == (kind, offsets[first][0], offsets[end - 1][1])
        assert span.text == text[span.start : span.end]
        assert span.score == min(prediction.probabilities[first:end])


@pytest.mark.parametrize("label_scheme", SCHEMES)
@pytest.mark.parametrize("data_scheme", SCHEMES)
def test_data_in_any_scheme_become_the_labels_of_the_network(tmp_path, data_scheme, label_scheme):
    entities = [[("PER", 0, 2), ("PER", 2, 3), ("LOC", 4, 7)], [("LOC", 1, 2)], []]
    lengths = [8, 3, 2]
    text = ""
    for spans, length in zip(entities, lengths, strict=True):
        tags = tag_schemes.tags(spans, length, data_scheme)
        text += "".join(f"w{i}\t{tag}\n" for i, tag in enumerate(tags)) + "\n"
    (tmp_path / "train.conll").write_text(text)
    rows = read_tagged(str(tmp_path / "train.conll"))
    head, splits = nt.NERHead.for_splits(Splits(rows, rows, None), label_scheme=label_scheme)
    assert head.entity_types == ("LOC", "PER")
    assert [tag_schemes.spans(tags, label_scheme) for tags in splits.train.data["tags"]] == entities
    assert all(tag in head.labels for tags in splits.validation.data["tags"] for tag in tags)
    (note,) = splits.notes
    assert note.startswith(f"Tag scheme: {data_scheme} (entities ")


def test_the_scheme_of_the_data_can_be_told(sentence_splits):
    _, splits = nt.NERHead.for_splits(sentence_splits, tag_scheme="iob1")
    assert splits.notes == ("Tag scheme: IOB1 (--tag_scheme).",)
    with pytest.raises(nt.OptionError, match="unknown tag scheme 'IOB3'"):
        nt.NERHead.for_splits(sentence_splits, tag_scheme="IOB3")


def test_a_tag_of_another_scheme_says_where_it_stands(tmp_path):
    def rows(name: str, tags: list[str]) -> Rows:
        (tmp_path / name).write_text("".join(f"Anna\t{tag}\n\n" for tag in tags))
        return read_tagged(str(tmp_path / name))

    good, single = rows("train.conll", ["B-PER", "O", "B-LOC"]), rows("dev.conll", ["O", "S-PER"])
    message = r"dev.conll, line 3: 'S-PER' is not a tag of IOB2, .*; the training rows are in IOB2, and all"
    with pytest.raises(nt.DataError, match=message):
        nt.NERHead.for_splits(Splits(good, single, None))
    message = r"given.conll, line 3: 'E-PER' is not a tag of BILOU.*; --tag_scheme is BILOU"
    with pytest.raises(nt.DataError, match=message):
        nt.NERHead.for_splits(Splits(rows("given.conll", ["U-PER", "E-PER"]), None, None), tag_scheme="bilou")
    mixed = rows("mixed.conll", ["S-PER", "O", "U-PER"])
    with pytest.raises(
        nt.DataError, match=r"mixed.conll, line 1 is BIOES and 'U-PER' in .*mixed.conll, line 5 is BILOU"
    ):
        nt.NERHead.for_splits(Splits(mixed, None, None))


TEXTS = [
    "Anna was in Oslo.",
    "  Anna\twas\r\n in\n\n  Oslo  ",
    "Anna😀was in ❤️ Oslo 👨‍👩‍👧!",
    "我爱北京天安门, said Anna in 東京",
    "トヨタ自動車の本社は愛知県に、สมชายอยู่ที่กรุงเทพฯ",
    "अन्ना दिल्ली में थी. e\u0301te\u0301 می\u200cخواهم",
    "don't (Anna) e-mail@oslo.no https://oslo.no/a?b=c",
    "ﬁn\u00a0Anna\u2003\u200bOslo\ufeff",
]


@pytest.mark.parametrize("text", TEXTS)
def test_spans_stand_where_the_text_has_them(tagger, text):
    (prediction,) = tagger.predict([text])
    assert prediction.spans
    for span in prediction.spans:
        assert text[span.start : span.end] == span.text != ""
        assert not span.text[0].isspace()
        assert not span.text[-1].isspace()
    assert re.sub(r"\s", "", text) == "".join(prediction.words)


@unhurried
@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=30))
def test_whatever_the_text_its_words_are_all_there(tagger, text):
    (prediction,) = tagger.predict([text])
    assert "".join(prediction.words) == re.sub(r"\s", "", text)
    assert all(text[span.start : span.end] == span.text for span in prediction.spans)


def test_words_keep_their_marks_and_han_signs_stand_alone(tagger):
    (prediction,) = tagger.predict(["दिल्ली e\u0301te\u0301 می\u200cخواهم 北京 don't"])
    assert prediction.words == ("दिल्ली", "e\u0301te\u0301", "می\u200cخواهم", "北", "京", "don", "'", "t")


@pytest.mark.parametrize("text", ["", "   ", "\n\t", []])
def test_a_text_without_a_word_has_no_entity(tagger, text):
    empty, full = tagger.predict([text, "Anna"])
    assert (empty.words, empty.tags, empty.probabilities, empty.spans) == ((), (), (), ())
    assert full == tagger.predict(["Anna"])[0]


def test_a_list_of_words_is_taken_as_it_is(tagger):
    words = ["New York", "was", "great!"]
    (prediction,) = tagger.predict([words])
    assert prediction.words == tuple(words)
    assert all("New York was great!"[s.start : s.end] == s.text for s in prediction.spans)
    raw, given = tagger.predict(["Anna was in Oslo", ["Anna", "was", "in", "Oslo"]])
    assert raw == given


@pytest.mark.parametrize("kind", ["TokenizersBackend", "RobertaTokenizer", "sequence"])
def test_byte_level_tokenizers_give_words_inside_a_sentence_their_blank(checkpoint, tmp_path, kind):
    """RoBERTa's tokenizer has a class that heeds add_prefix_space, ModernBERT's has none."""
    shutil.copytree(checkpoint("roberta"), tmp_path, dirs_exist_ok=True)
    if kind == "sequence":
        spec = json.loads((tmp_path / "tokenizer.json").read_text())
        spec["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": [spec["pre_tokenizer"]]}
        (tmp_path / "tokenizer.json").write_text(json.dumps(spec))
    else:
        config = json.loads((tmp_path / "tokenizer_config.json").read_text()) | {"tokenizer_class": kind}
        (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    model = nt.TransferModel.load(tmp_path, nt.NERHead(["PER"]))
    as_text = byte_level_tokenizer()(" Anna was in Oslo")["input_ids"]
    model.save(tmp_path / "saved")
    for tagger in (model, nt.TransferModel.load(tmp_path / "saved")):
        assert encode(tagger, {"words": [["Anna", "was", "in", "Oslo"]]})["input_ids"] == [as_text]


def test_a_classifier_takes_its_texts_as_they_are(checkpoint):
    model = nt.TransferModel.load(checkpoint("roberta"), nt.TextClassificationHead(["no", "yes"]))
    assert model.tokenizer("Anna was")["input_ids"] == byte_level_tokenizer()("Anna was")["input_ids"]


@pytest.mark.parametrize("family", FAMILIES)
def test_one_word_is_one_prediction_in_every_family(checkpoint, family):
    model = nt.TransferModel.load(checkpoint(family), nt.NERHead(["PER"]), max_length=12)
    words = ["Anna", "met", "Boris", "in", "the", "film", ",", "and", "Clara", "was", "in", "Quito", "."]
    assert [len(p.tags) for p in model.predict([words, words[:3]])] == [13, 3]


def test_the_loss_counts_first_subwords_only(tagger):
    rows = {"words": [["Anna", "was"], ["Oslo"]], "tags": [["B-PER", "O"], ["B-LOC"]]}
    features = tagger.encode(Dataset.from_dict(rows))
    outputs = infer(tagger.network, tagger.head, TokenInputs(features, tagger.pad_id))
    labels = torch.tensor([label for row in tagger.head.targets(rows["tags"]) for label in row])
    expected = torch.nn.functional.cross_entropy(torch.from_numpy(np.concatenate(outputs)), labels)
    ids = torch.tensor(features["input_ids"][:1])
    loss = tagger.head.loss(tagger.network.eval()(ids).logits, torch.tensor(features["labels"][:1]), 3)
    loss += tagger.head.loss(
        tagger.network(torch.tensor(features["input_ids"][1:])).logits, torch.tensor(features["labels"][1:]), 3
    )
    torch.testing.assert_close(loss, expected)
    assert tagger.head.evaluate(outputs, rows)["loss"] == pytest.approx(expected.item())


def test_scores_are_strict_and_lenient(tagger):
    head = nt.NERHead(["PER", "LOC"])
    gold = [["B-PER", "I-PER", "O"], ["B-LOC"]]
    wrong = [["B-PER", "O", "O"], ["B-LOC"]]

    def scores(tags):
        logits = [np.array([np.eye(5)[head.labels.id(tag)] * 9 for tag in row], dtype=np.float32) for row in tags]
        words = [["w"] * len(row) for row in tags]
        return head.evaluate(logits, {"words": words, "tags": gold})

    assert scores(gold)["f1_strict"] == 1.0
    assert scores(wrong)["f1_strict"] == 0.5
    assert head.best_metric in scores(gold)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_options_make_the_same_head_again(scheme):
    head = nt.NERHead(["PER", "LOC"], scheme)
    again = nt.NERHead(**head.options())
    assert again.options() == head.options()
    assert again.labels == head.labels


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (([],), "a NER head needs at least one entity type."),
        ((["PER"], "IOB3"), "unknown tag scheme 'IOB3'"),
        ((["PER", "PER"],), "label names repeat: O, B-PER, I-PER, B-PER, I-PER; name each once."),
    ],
)
def test_options_that_make_no_sense_are_refused(arguments, line):
    with pytest.raises(nt.OptionError, match=re.escape(line)):
        nt.NERHead(*arguments)


def test_a_word_tokenizer_spells_words_as_it_spells_the_text(tagger):
    (ids,) = encode(tagger, {"words": [["Anna", "was", "extraordinarily", "good"]]})["input_ids"]
    assert ids == word_tokenizer()("Anna was extraordinarily good")["input_ids"]
