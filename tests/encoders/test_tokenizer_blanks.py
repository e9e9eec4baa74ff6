"""Every word of a text has its own offsets, in every family of tokenizers, and each word of a list its blank."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import byte_level_tokenizer, tiny_config, word_tokenizer
from tokenizers import Regex, pre_tokenizers, processors
from transformers import (
    AlbertTokenizer,
    AutoModel,
    AutoTokenizer,
    BertTokenizer,
    CamembertTokenizer,
    DebertaTokenizer,
    DebertaV2Tokenizer,
    MPNetTokenizer,
    PreTrainedTokenizerBase,
    RobertaTokenizer,
    XLMRobertaTokenizer,
)

import nlp_transfer as nt
from nlp_transfer.encoders.pretrained import Checkpoint
from nlp_transfer.encoders.tokenizer_blanks import for_words

TEXTS = [
    "Graz", " Graz", "\tOmar's in Graz!", "  Anna  was (in) Oslo.", "don't", " don't meet Anna, Boris",
    "Graz\nOslo\n\n Lima", "na\u00efve Z\u00fcrich, \u6771\u4eac", "a", " 3,5 %",
]  # fmt: skip

_SPECIAL = {
    "pad_token": "<pad>", "cls_token": "<cls>", "sep_token": "<sep>", "unk_token": "<unk>", "mask_token": "<mask>",
    "bos_token": "<cls>", "eos_token": "<sep>",
}  # fmt: skip


def bytes_with(**parts: object) -> PreTrainedTokenizerBase:
    """The tiny byte-level tokenizer, of no class, with other parts."""
    tokenizer = byte_level_tokenizer()
    for name, part in parts.items():
        setattr(tokenizer.backend_tokenizer, name, part)
    return tokenizer


def of_class(kind: type) -> PreTrainedTokenizerBase:
    """A tokenizer of a class of its own, with the tiny vocabulary for bytes, word pieces, or SentencePiece."""
    if kind in (RobertaTokenizer, DebertaTokenizer):
        model = json.loads(byte_level_tokenizer().backend_tokenizer.to_str())["model"]
        return kind(vocab=model["vocab"], merges=[tuple(pair) for pair in model["merges"]], **_SPECIAL)
    if kind in (BertTokenizer, MPNetTokenizer):
        return kind(vocab=word_tokenizer().get_vocab(), **_SPECIAL)
    pieces = ["▁", "▁Graz", "▁in", "▁was", "An", "na", "!", *"abcdefghijklmnopqrstuvwxyzAGOBLZ'(),.%35"]
    vocab = [*((token, 0.0) for token in ("<pad>", "<cls>", "<sep>", "<unk>", "<mask>")), *((p, -9.0) for p in pieces)]
    return kind(vocab=vocab, unk_id=3, **_SPECIAL)


_LLAMA = Regex(r"'[st]| ?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+|\s+")

TOKENIZERS: dict[str, tuple[str, Callable[[], PreTrainedTokenizerBase]]] = {
    "WordPiece": ("bert", word_tokenizer),
    "BERT": ("bert", lambda: of_class(BertTokenizer)),
    "MPNet": ("mpnet", lambda: of_class(MPNetTokenizer)),
    "RoBERTa": ("roberta", lambda: of_class(RobertaTokenizer)),
    "DeBERTa": ("deberta", lambda: of_class(DebertaTokenizer)),
    "ModernBERT": ("modernbert", byte_level_tokenizer),
    "trimmed as RoBERTa": (
        "roberta",
        lambda: bytes_with(post_processor=processors.RobertaProcessing(("<sep>", 2), ("<cls>", 1), True, False)),
    ),
    "trimmed by bytes": (
        "roberta",
        lambda: bytes_with(
            post_processor=processors.Sequence(
                [
                    processors.ByteLevel(trim_offsets=True, add_prefix_space=False),
                    byte_level_tokenizer().backend_tokenizer.post_processor,
                ]
            )
        ),
    ),
    "split before bytes": (  # as Llama 3 does, and EuroBERT
        "modernbert",
        lambda: bytes_with(
            pre_tokenizer=pre_tokenizers.Sequence(
                [
                    pre_tokenizers.Split(_LLAMA, "isolated"),
                    pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
                ]
            )
        ),
    ),
    "XLM-R": ("xlm-roberta", lambda: of_class(XLMRobertaTokenizer)),
    "CamemBERT": ("camembert", lambda: of_class(CamembertTokenizer)),
    "ALBERT": ("albert", lambda: of_class(AlbertTokenizer)),
    "DeBERTa-v2": ("deberta-v2", lambda: of_class(DebertaV2Tokenizer)),
}


@pytest.fixture(scope="module", params=TOKENIZERS)
def saved(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny encoder with one of the tokenizers."""
    family, make = TOKENIZERS[request.param]
    folder = tmp_path_factory.mktemp("tokenizer")
    tokenizer = make()
    AutoModel.from_config(tiny_config(family, len(tokenizer))).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def words_at(text: str) -> list[tuple[int, int]]:
    """Where the parts between blanks begin and end."""
    places, start = [], 0
    for word in text.split():
        start = text.index(word, start)
        places.append((start, start + len(word)))
        start += len(word)
    return places


def covered(tokenizer: PreTrainedTokenizerBase, text: str) -> list[tuple[int, int]]:
    """The part of a text that the tokens of each word cover together."""
    encoded = tokenizer(text, return_offsets_mapping=True, add_special_tokens=False)
    spans = encoded["offset_mapping"]
    assert all(a < b and not set(text[a:b]) & set(" \t\n") for a, b in spans), (text, encoded.tokens(), spans)
    by_word = [[span for span in spans if a <= span[0] and span[1] <= b] for a, b in words_at(text)]
    assert sum(map(len, by_word)) == len(spans)
    return [(min(a for a, _ in word), max(b for _, b in word)) for word in by_word]


def test_the_offsets_of_every_word_are_its_own(saved, tmp_path):
    tokenizer = Checkpoint.find(str(saved)).tokenizer(of_words=True)
    tokenizer.save_pretrained(tmp_path)
    (tmp_path / "config.json").write_bytes((saved / "config.json").read_bytes())
    opened = AutoTokenizer.from_pretrained(tmp_path)
    assert for_words(opened) is opened
    for one in (tokenizer, opened):
        for text in TEXTS:
            assert covered(one, text) == words_at(text)
            words = text.split()
            encoded = one(words, is_split_into_words=True, return_offsets_mapping=True, add_special_tokens=False)
            spans = list(zip(encoded.word_ids(), encoded["offset_mapping"], strict=True))
            for number, word in enumerate(words):
                own = [span for at, span in spans if at == number]
                assert (own[0][0], own[-1][1]) == (0, len(word))


def test_tokens_are_those_of_a_sentence_and_stay_so_when_saved(saved, tmp_path):
    checkpoint = Checkpoint.find(str(saved))
    plain, tokenizer = checkpoint.tokenizer(), checkpoint.tokenizer(of_words=True)
    model = nt.TransferModel.load(saved, nt.NERHead(["PER"]))
    model.save(tmp_path)
    ids = lambda tokenizer, text, **how: tokenizer(text, add_special_tokens=False, **how)["input_ids"]  # noqa: E731
    saved_ones = AutoTokenizer.from_pretrained(tmp_path), nt.TransferModel.load(tmp_path).tokenizer
    for one in (tokenizer, model.tokenizer, *saved_ones):
        assert (len(one), one.special_tokens_map) == (len(plain), plain.special_tokens_map)
        assert one("in")["input_ids"][0] == plain("in")["input_ids"][0] != ids(one, "in")[0]
        for text in TEXTS:
            inside = ids(plain, " ".join(["in", *text.split()]))[len(ids(plain, "in")) :]
            assert ids(one, text.split(), is_split_into_words=True) == inside
            assert ids(one, text) == ids(one, text.strip()) == inside
