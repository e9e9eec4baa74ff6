"""What every head keeps on every family: it learns, no weight is left out, and others open what it saves."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from conftest import BAD, FAMILIES, GOOD, sentence_lines, tiny_config
from transformers import AutoModel, AutoModelForSequenceClassification, AutoModelForTokenClassification, AutoTokenizer

import nlp_transfer as nt
from nlp_transfer.data.batch import collate
from nlp_transfer.data.read_rows import Rows, read_classification, read_tagged
from nlp_transfer.data.splits import Splits

HEADS: dict[str, Callable[[], nt.TaskHead]] = {
    "native": lambda: nt.TextClassificationHead(["praise", "complaint"]),
    "pooled": lambda: nt.TextClassificationHead(["praise", "complaint"], pooling="mean", hidden=(16,)),
    "sentiment": lambda: nt.SentimentHead(["complaint", "praise"]),
    "pairs": lambda: nt.TextClassificationHead(["praise", "complaint"], pairs=True),
    "multi_label": lambda: nt.MultiLabelHead(["praise", "complaint"]),
    "regression": lambda: nt.RegressionHead("stars", mean=3.0, deviation=1.5),
    "ner": lambda: nt.NERHead(["PER", "LOC"]),
}


class Trained(NamedTuple):
    """A model after two epochs, the folder it was saved in, and its mean loss on the training rows."""

    model: nt.TransferModel
    folder: Path
    splits: Splits
    loss_before: float
    loss_after: float


@pytest.fixture(scope="session")
def splits(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Splits]:
    """Texts of three good words or of three bad ones, and the tiny sentences."""
    folder = tmp_path_factory.mktemp("contracts")
    lines = []
    for i in range(48):
        words, label = ((GOOD, "praise"), (BAD, "complaint"))[i % 2]
        lines.append(" ".join(words[(i // 2 + j * (i % 3 + 1)) % 8] for j in range(3)) + f",{label}\n")
    sentences = ["".join(f"{word}\t{tag}\n" for word, tag in line) + "\n" for line in sentence_lines(36)]
    for name, texts, tagged in (("train", lines[:40], sentences[:28]), ("validation", lines[40:], sentences[28:])):
        (folder / f"{name}.csv").write_text("text,label\n" + "".join(texts))
        (folder / f"{name}.conll").write_text("".join(tagged))
    names = [str(folder / name) for name in ("train", "validation")]
    texts = Splits(*(read_classification(f"{name}.csv") for name in names), None)
    tagged = Splits(*(read_tagged(f"{name}.conll") for name in names), None)
    return {
        "native": texts,
        "pooled": texts,
        "sentiment": texts,
        "pairs": texts.each(in_pairs),
        "multi_label": texts.each(lambda rows: relabelled(rows, lambda label: [label] * (label == "praise"))),
        "regression": texts.each(lambda rows: relabelled(rows, lambda label: 4.5 if label == "praise" else 1.5)),
        "ner": tagged,
    }


def relabelled(rows: Rows, relabel: Callable[[str], object]) -> Rows:
    labels = [relabel(label) for label in rows.data["label"]]
    return replace(rows, data=rows.data.remove_columns("label").add_column("label", labels))


def in_pairs(rows: Rows) -> Rows:
    """The last word of each text is its second text."""
    parted = [text.rpartition(" ")[::2] for text in rows.data["text"]]
    data = rows.data.remove_columns("text").add_column("text", [first for first, _ in parted])
    return replace(rows, data=data.add_column("text_pair", [second for _, second in parted]))


def asked(rows: dict[str, list[object]], head: str) -> list[object]:
    """What a model of `head` predicts of rows."""
    if head == "pairs":
        return list(zip(rows["text"], rows["text_pair"], strict=True))
    return rows["words" if head == "ner" else "text"]


@pytest.fixture(scope="session")
def lively(checkpoint: Callable[..., str], tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """`lively(family)` is its tiny encoder with weights so large that texts differ: what has to be learned is there."""
    made: dict[str, Path] = {}

    def make(family: str) -> Path:
        if family not in made:
            folder = Path(shutil.copytree(checkpoint(family), tmp_path_factory.mktemp(family) / "lively"))
            config = tiny_config(family, AutoTokenizer.from_pretrained(folder).vocab_size)
            config.initializer_range = 0.1 if family == "mobilebert" else 0.2  # MobileBERT has no norms to tame it
            torch.manual_seed(0)
            AutoModel.from_config(config).save_pretrained(folder)
            made[family] = folder
        return made[family]

    return make


@pytest.fixture(scope="session")
def trained(
    lively: Callable[[str], Path], splits: dict[str, Splits], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str, str], Trained]:
    """`trained(family, head)` is a model after two epochs of `fit`."""
    options = nt.TrainingOptions(
        num_train_epochs=2, per_device_train_batch_size=4, learning_rate=3e-3, mixed_precision="no", warmup_ratio=0.0,
    )  # fmt: skip
    done: dict[tuple[str, str], Trained] = {}

    def train(family: str, name: str) -> Trained:
        if (family, name) not in done:
            nt.set_seed(0)
            model = nt.TransferModel.load(lively(family), HEADS[name]())
            before = mean_loss(model, splits[name])
            nt.fit(model, replace(splits[name], validation=None), options)
            folder = tmp_path_factory.mktemp(f"{family}-{name}")
            model.save(folder)
            done[family, name] = Trained(model, folder, splits[name], before, mean_loss(model, splits[name]))
        return done[family, name]

    return train


def mean_loss(model: nt.TransferModel, splits: Splits) -> float:
    """The loss of an item of the training rows; scores, which cost more than all else here, are for other tests."""
    tensors = collate(model.encode(splits.train.data)[:], model.pad_id)
    labels = tensors.pop("labels")
    with torch.inference_mode():
        logits = model.network.eval()(**tensors).logits
    return model.head.loss(logits, labels, int((labels != -100).sum())).item()


def batch(model: nt.TransferModel, splits: Splits) -> dict[str, torch.Tensor]:
    return collate(model.encode(splits.validation.data)[:], model.pad_id)


# Those of texts but the first stand on the same networks as the native one, or on ours; four families are enough.
FEW = ("bert", "roberta", "deberta-v2", "modernbert")
CASES = [(f, head) for f in FAMILIES for head in HEADS if head in ("native", "ner") or f in FEW]
every_case = pytest.mark.parametrize(("family", "head"), CASES)


@every_case
def test_the_loss_falls(trained, family, head):
    done = trained(family, head)
    assert done.loss_after < 0.998 * done.loss_before


@every_case
def test_every_weight_that_learns_has_a_gradient(trained, family, head):
    """DistributedDataParallel would wait for those that have none."""
    model, _, splits, *_ = trained(family, head)
    tensors = batch(model, splits)
    model.network.train().zero_grad()
    labels = tensors.pop("labels")
    model.head.loss(model.network(**tensors).logits, labels, labels.numel()).backward()
    left_out = [name for name, p in model.network.named_parameters() if p.requires_grad and p.grad is None]
    model.network.zero_grad()
    assert left_out == []


@every_case
def test_plain_transformers_opens_what_was_saved(trained, family, head):
    model, folder, splits, *_ = trained(family, head)
    auto = AutoModelForTokenClassification if head == "ner" else AutoModelForSequenceClassification
    network, info = auto.from_pretrained(folder, output_loading_info=True)
    assert type(network).__module__.startswith("transformers.") == (head != "pooled")
    assert not any(info[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    assert network.config.problem_type == getattr(model.head, "problem_type", None)
    assert [network.config.id2label[i] for i in range(len(model.head.labels))] == list(model.head.labels)

    tensors = batch(model, splits)
    tensors.pop("labels")
    with torch.inference_mode():
        ours, theirs = model.network.eval()(**tensors).logits, network.eval()(**tensors).logits
    torch.testing.assert_close(theirs, ours, rtol=0, atol=1e-6)

    tokenizer = AutoTokenizer.from_pretrained(folder)
    rows = splits.validation.data[:]
    words = {"is_split_into_words": True} if head == "ner" else {}
    both = (rows["text"], rows["text_pair"]) if head == "pairs" else (asked(rows, head),)
    ids = tokenizer(*both, **words)["input_ids"]
    assert ids == list(model.encode(splits.validation.data)["input_ids"])


@every_case
def test_a_model_that_is_loaded_predicts_what_it_did(trained, family, head):
    model, folder, splits, *_ = trained(family, head)
    texts = asked(splits.validation.data[:], head)
    again = nt.TransferModel.load(folder)
    for ours, theirs in zip(again.predict(texts), model.predict(texts), strict=True):
        if head == "ner":
            assert ours.tags == theirs.tags
        elif head == "regression":
            assert ours.value == pytest.approx(theirs.value, abs=1e-5)
        else:
            name = "labels" if head == "multi_label" else "label"
            assert getattr(ours, name) == getattr(theirs, name)
            assert ours.probabilities == pytest.approx(theirs.probabilities, abs=1e-6)
