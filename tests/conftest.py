"""Tiny random networks of every family, tiny data, and no network."""

from __future__ import annotations

import contextlib
import gc
import html.parser
import importlib.util
import io
import os
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import pytest
import torch
from accelerate.state import AcceleratorState
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoConfig, AutoModel, PreTrainedTokenizerFast

import nlp_transfer as nt
from nlp_transfer.data.read_rows import read_classification, read_tagged
from nlp_transfer.data.splits import Splits
from nlp_transfer.run.fresh_process import answers_to

pytest_plugins = ["thinning"]

gc.freeze()  # what was imported stays, and is not looked through again and again
torch.set_num_threads(1)  # tiny networks gain nothing from more, and a busy machine makes threads wait

BYTE_LEVEL = ("roberta", "modernbert")
FAMILIES = (
    "albert", "bert", "camembert", "convbert", "deberta", "deberta-v2", "distilbert", "electra", "ernie", "mobilebert",
    "modernbert", "mpnet", "nomic_bert", "roberta", "roformer", "xlm-roberta",
)  # fmt: skip

GOOD = ["good", "great", "fine", "lovely", "superb", "warm", "bright", "happy"]
BAD = ["bad", "awful", "poor", "ugly", "rotten", "cold", "dull", "sad"]
THINGS = ["coffee", "train", "hotel", "book", "phone", "garden", "street", "film"]
NAMES = ["Anna", "Boris", "Clara", "David", "Elena", "Fritz", "Greta", "Hugo"]
PLACES = ["Oslo", "Lima", "Kyiv", "Quito", "Riga", "Turin", "Bonn", "Cork"]

OFFLINE = Path(__file__).parent / "offline"
"""In PYTHONPATH it keeps a process from the network."""

_SPECIAL = ["<pad>", "<cls>", "<sep>", "<unk>", "<mask>"]


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sockets reach this machine alone, in tests and in the processes they start."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: object) -> None:
        outside = isinstance(address, tuple) and address[0] not in ("127.0.0.1", "::1", "localhost")
        if self.family != socket.AF_UNIX and outside:
            raise OSError(f"a test tried to reach {address}")
        connect(self, address)  # type: ignore[arg-type]

    def look_up(host: object, *rest: object, **options: object) -> object:
        if host in (None, "", "localhost", "127.0.0.1", "::1", socket.gethostname()):
            return resolve(host, *rest, **options)  # type: ignore[arg-type]
        raise socket.gaierror(socket.EAI_NONAME, f"a test tried to look up {host!r}")

    resolve = socket.getaddrinfo
    monkeypatch.setattr(socket.socket, "connect", guarded)
    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(OFFLINE), *filter(None, [os.environ.get("PYTHONPATH")])]))


@pytest.fixture(autouse=True)
def _reopen_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Saved models are verified in this process: a fresh one takes seconds (tests/run/test_verify_run.py has it)."""
    here = lambda request: contextlib.nullcontext(lambda: answers_to(request))  # noqa: E731
    monkeypatch.setattr("nlp_transfer.run.verify_run._fresh_process", here)
    monkeypatch.setattr("nlp_transfer.run.waiting_process.start", lambda: None)


@pytest.fixture(autouse=True)
def _no_garbage_is_collected_after_a_stage(monkeypatch: pytest.MonkeyPatch) -> None:
    """Accelerate does so, a tenth of a second over all that pytest holds; Python still does in its own time."""
    monkeypatch.setattr("accelerate.utils.memory.gc", SimpleNamespace(collect=lambda: None))


@pytest.fixture(autouse=True)
def _no_report(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs leave no report, which takes a second to draw, unless a test asks for the fixture `with_reports`."""
    if "with_reports" not in request.fixturenames:
        monkeypatch.setattr("nlp_transfer.run.write_run.write_run_report", lambda *_: None)


@pytest.fixture
def with_reports() -> None:
    """Runs of this test leave a report."""


@pytest.fixture(autouse=True, scope="session")
def _cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """What frozen layers give is kept in a folder of the tests, also by the processes that they start."""
    os.environ["NLP_TRANSFER_CACHE"] = str(tmp_path_factory.mktemp("activations"))


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., str]:
    """`checkpoint(family)` is a folder with a tiny random encoder of that family and a tokenizer."""
    made: dict[tuple[str, int], str] = {}

    def make(family: str = "bert", layers: int = 2) -> str:
        if (family, layers) not in made:
            folder = tmp_path_factory.mktemp(f"{family}-{layers}")
            save_tiny_encoder(folder, family, layers)
            made[family, layers] = str(folder)
        return made[family, layers]

    return make


def save_tiny_encoder(folder: Path, family: str, layers: int = 2) -> None:
    """An encoder of width 32 with random weights, and a tokenizer that knows the words of the tiny data."""
    tokenizer = byte_level_tokenizer() if family in BYTE_LEVEL else word_tokenizer()
    tokenizer.save_pretrained(folder)
    with torch.random.fork_rng(devices=[]):  # a test that has set a seed goes on from it, whoever is the first to ask
        torch.manual_seed(0)
        encoder = AutoModel.from_config(tiny_config(family, len(tokenizer), layers))
    encoder.save_pretrained(folder)


def tiny_config(family: str, vocabulary: int, layers: int = 2) -> object:
    """A config of two small layers. No dropout, so that what is computed twice is the same."""
    shape = {
        "vocab_size": vocabulary, "hidden_size": 32, "num_hidden_layers": layers, "num_attention_heads": 2,
        "intermediate_size": 64, "max_position_embeddings": 66, "pad_token_id": 0, "bos_token_id": 1,
        "eos_token_id": 2, "cls_token_id": 1, "sep_token_id": 2, "hidden_dropout_prob": 0.0,
        "attention_probs_dropout_prob": 0.0,
    }  # fmt: skip
    if family == "distilbert":
        shape |= {"dim": 32, "n_layers": layers, "n_heads": 2, "hidden_dim": 64}
        shape |= {"dropout": 0.0, "attention_dropout": 0.0, "seq_classif_dropout": 0.0}
        for name in ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size"):
            del shape[name]
    if family in ("albert", "convbert", "electra", "mobilebert", "roformer"):
        shape["embedding_size"] = 32
    if family == "mobilebert":
        shape |= {"intra_bottleneck_size": 32, "true_hidden_size": 32}
    if family == "electra":
        shape["embedding_size"] = 16  # so that it has its projection
    return AutoConfig.for_model(family, **shape)


def word_tokenizer() -> PreTrainedTokenizerFast:
    """WordPiece over lower-cased words, as BERT's; a name is two pieces, and an unknown word is spelt in letters.

    The vocabulary is written out: trained ones differ from run to run where counts are equal.
    """
    letters = "abcdefghijklmnopqrstuvwxyz"
    words = ["the", "was", "in", "and", "met", ",", ".", *GOOD, *BAD, *THINGS]
    names = [piece for name in NAMES + PLACES for piece in (name[:2].lower(), f"##{name[2:]}")]
    pieces = dict.fromkeys([*_SPECIAL, *letters, *(f"##{letter}" for letter in letters), *words, *names])
    tokenizer = Tokenizer(models.WordPiece({piece: i for i, piece in enumerate(pieces)}, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return _fast(tokenizer)


def byte_level_tokenizer() -> PreTrainedTokenizerFast:
    """Byte-level BPE, as RoBERTa's: a word inside a text carries the blank before it."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=400, special_tokens=_SPECIAL, initial_alphabet=alphabet)
    tokenizer.train_from_iterator(_corpus(), trainer)
    return _fast(tokenizer)


def _fast(tokenizer: Tokenizer) -> PreTrainedTokenizerFast:
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<cls> $A <sep>", pair="<cls> $A <sep> $B <sep>", special_tokens=[("<cls>", 1), ("<sep>", 2)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", cls_token="<cls>", sep_token="<sep>", unk_token="<unk>",
        mask_token="<mask>", bos_token="<cls>", eos_token="<sep>", model_max_length=64,
    )  # fmt: skip


def _corpus() -> list[str]:
    return [" ".join(words) for words in (GOOD, BAD, THINGS, NAMES, PLACES)] * 3 + ["the was in and met , ."]


def review_lines(count: int) -> list[tuple[str, str]]:
    """Texts of two labels that a tiny network can tell apart."""
    lines = []
    for i in range(count):
        words, label = ((GOOD, "praise"), (BAD, "complaint"))[i % 2]
        lines.append((f"the {THINGS[i % 8]} was {words[i // 2 % 8]} and {words[i // 3 % 8]}", label))
    return lines


def sentence_lines(count: int) -> list[list[tuple[str, str]]]:
    """Sentences with persons and places of one and two words."""
    sentences = []
    for i in range(count):
        sentence = [(NAMES[i % 8], "B-PER")]
        if i % 2:
            sentence.append((NAMES[i // 2 % 8], "I-PER"))
        sentence += [("was", "O"), ("in", "O"), (PLACES[i // 3 % 8], "B-LOC")]
        sentences.append([*sentence, (".", "O")])
    return sentences


@pytest.fixture(scope="session")
def reviews(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """CSV files of tiny reviews: {"train": path, "validation": path, "test": path}."""
    folder = tmp_path_factory.mktemp("reviews")
    lines = review_lines(96)
    parts = {"train": lines[:64], "validation": lines[64:80], "test": lines[80:]}
    for name, part in parts.items():
        text = "text,label\n" + "".join(f"{text},{label}\n" for text, label in part)
        (folder / f"{name}.csv").write_text(text, encoding="utf-8")
    return {name: str(folder / f"{name}.csv") for name in parts}


@pytest.fixture(scope="session")
def sentences(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """CoNLL files of tiny sentences: {"train": path, "validation": path, "test": path}."""
    folder = tmp_path_factory.mktemp("sentences")
    lines = sentence_lines(96)
    parts = {"train": lines[:64], "validation": lines[64:80], "test": lines[80:]}
    for name, part in parts.items():
        text = "".join("".join(f"{word}\t{tag}\n" for word, tag in sentence) + "\n" for sentence in part)
        (folder / f"{name}.conll").write_text(text, encoding="utf-8")
    return {name: str(folder / f"{name}.conll") for name in parts}


@pytest.fixture(scope="session")
def review_splits(reviews: dict[str, str]) -> Splits:
    """The tiny reviews, read."""
    return Splits(*(read_classification(path) for path in reviews.values()))


@pytest.fixture(scope="session")
def sentence_splits(sentences: dict[str, str]) -> Splits:
    """The tiny sentences, read."""
    return Splits(*(read_tagged(path) for path in sentences.values()))


@pytest.fixture
def options() -> nt.TrainingOptions:
    """A short run in fp32."""
    return nt.TrainingOptions(
        num_train_epochs=2, per_device_train_batch_size=8, learning_rate=3e-3, mixed_precision="no", warmup_ratio=0.0
    )


@pytest.fixture
def other_accelerators() -> Iterator[None]:
    """Accelerators of this test may differ from those of the others, which Accelerate keeps for a whole process."""
    AcceleratorState._reset_state(True)
    yield
    AcceleratorState._reset_state(True)


RECIPES = Path(__file__).parent.parent / "recipes"


class Outcome(NamedTuple):
    """What a recipe said, and how it ended."""

    status: int
    out: str
    err: str


def run_recipe(name: str, flags: list[str], folder: Path) -> Outcome:
    """Run `python recipes/NAME.py FLAGS` in `folder`, without the seconds that a new process takes.

    A recipe that trains does so with --strategy full, where flags name no other: auto tries several strategies.
    """
    if name in ("classify", "sentiment", "ner") and not {"--strategy", "--config"} & set(flags):
        flags = ["--strategy", "full", *flags]
    spec = importlib.util.spec_from_file_location(Path(name).name, RECIPES / f"{name}.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    AcceleratorState._reset_state(True)  # a new process would have none
    status, out, err, home = 0, io.StringIO(), io.StringIO(), os.getcwd()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        patch.setattr(sys, "argv", [f"{name}.py", *flags])
        patch.setenv("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")  # which the recipe sets, and does not take back
        patch.chdir(folder)
        try:
            nt.run_recipe(module.main)
        except SystemExit as end:
            status = int(end.code or 0)
    assert os.getcwd() == home
    AcceleratorState._reset_state(True)
    return Outcome(status, out.getvalue(), err.getvalue())


class Elements(html.parser.HTMLParser):
    """Which elements a page has, and their attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))


@pytest.fixture(scope="session")
def training_flags(checkpoint: Callable[..., str]) -> list[str]:
    """A tiny encoder and a short run."""
    return [
        *("--model_name_or_path", checkpoint(), "--mixed_precision", "no", "--num_train_epochs", "2"),
        *("--learning_rate", "3e-3", "--per_device_train_batch_size", "8", "--per_device_eval_batch_size", "7"),
    ]


@pytest.fixture(scope="session")
def task_flags(reviews: dict[str, str], sentences: dict[str, str]) -> dict[str, list[str]]:
    """What each recipe needs to be told of the tiny data."""

    def files(paths: dict[str, str]) -> list[str]:
        return [part for name, path in paths.items() for part in (f"--{name}_file", path)]

    return {
        "classify": files(reviews),
        "sentiment": [*files(reviews), "--levels", "complaint", "praise"],
        "ner": files(sentences),
    }


@pytest.fixture(scope="session")
def finished(
    task_flags: dict[str, list[str]], training_flags: list[str], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], tuple[Path, Outcome]]:
    """`finished(recipe)` is the folder of a run of that recipe on the tiny data, and what the recipe said."""
    done: dict[str, tuple[Path, Outcome]] = {}

    def finish(name: str) -> tuple[Path, Outcome]:
        if name not in done:
            folder = tmp_path_factory.mktemp(name)
            outcome = run_recipe(name, [*task_flags[name], *training_flags, "--output_dir", "run"], folder)
            assert outcome.status == 0, outcome.err
            done[name] = (folder / "run", outcome)
        return done[name]

    return finish
