"""A classifier of scikit-learn on the features of a frozen encoder, and the folder it leaves."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from transformers import AutoModelForSequenceClassification, AutoModelForTokenClassification

import nlp_transfer as nt
from nlp_transfer.data.inputs import TokenInputs
from nlp_transfer.data.splits import Splits
from nlp_transfer.encoders.pooling.pooled_network import pool
from nlp_transfer.encoders.sklearn_head import fitting
from nlp_transfer.encoders.sklearn_head.classifiers import CLASSIFIERS, LINEAR
from nlp_transfer.encoders.sklearn_head.sklearn_network import ShallowClassifier
from nlp_transfer.errors import OptionError, UserError
from nlp_transfer.models.inference import infer
from nlp_transfer.strategies.features import Features

TASKS = ("classification", "ner")
OPTIONS = nt.TrainingOptions(mixed_precision="no")

FEW_TREES = {"_TREES": 15, "_TREES_WHILE_CHOOSING": 5}

every_task = pytest.mark.parametrize("task", TASKS)
every_classifier = pytest.mark.parametrize("classifier", CLASSIFIERS)


def head_of(task: str, **options: Any) -> nt.TaskHead:
    return (
        nt.NERHead(["LOC", "PER"]) if task == "ner" else nt.TextClassificationHead(["complaint", "praise"], **options)
    )


@pytest.fixture(autouse=True, scope="module")
def _few_trees() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name, count in FEW_TREES.items():
            patch.setattr(fitting, name, count)
        yield


@pytest.fixture(scope="module")
def splits(review_splits: Splits, sentence_splits: Splits) -> dict[str, Splits]:
    return {"classification": review_splits, "ner": sentence_splits}


@pytest.fixture(scope="module")
def fitted(checkpoint, splits):
    """`fitted(task, classifier, family)`: a model, what its run came to, and the classifier as scikit-learn has it."""
    made: dict[tuple[str, str, str], Any] = {}

    def fit(task: str, classifier: str, family: str = "bert", **options: Any) -> Any:
        if (task, classifier, family) not in made:
            model = nt.TransferModel.load(checkpoint(family), head_of(task, **options))
            with pytest.MonkeyPatch.context() as patch:
                kept = remember(patch)
                run = nt.fit(model, splits[task], OPTIONS, strategy=Features(classifier))
            made[task, classifier, family] = model, run, kept[0]
        return made[task, classifier, family]

    return fit


def remember(patch: pytest.MonkeyPatch) -> list[Any]:
    """What `fit_classifier` gives from now on."""
    import nlp_transfer.encoders.sklearn_head.fitting as module

    kept: list[Any] = []
    fit_classifier = module.fit_classifier

    def remembering(*arguments: Any) -> Any:
        kept.append(fit_classifier(*arguments))
        return kept[-1]

    patch.setattr(module, "fit_classifier", remembering)
    return kept


def logits(model: nt.TransferModel, splits: Splits) -> np.ndarray:
    rows = TokenInputs(model.encode(splits.test.data), model.pad_id)
    return np.concatenate(infer(model.network, model.head, rows))


def features(model: nt.TransferModel, splits: Splits, pooling: str = "mean") -> np.ndarray:
    """Pooled states of texts, or the states of first subwords, computed one row after another."""
    found = []
    with torch.inference_mode():
        for row in model.encode(splits.test.data):
            ids = torch.tensor([row["input_ids"]])
            states = model.encoder.base.eval()(input_ids=ids).last_hidden_state
            found.append(states[0, row["starts"]] if "starts" in row else pool(states, torch.ones_like(ids), pooling))
    return torch.cat(found).double().numpy()


@every_task
@every_classifier
def test_labels_are_those_of_scikit_learn(fitted, splits, task, classifier):
    model, run, (alone, scale) = fitted(task, classifier)
    found, vectors = logits(model, splits[task]), features(model, splits[task])
    assert (found.argmax(axis=1) == alone.predict(vectors)).all()
    assert scale > 0
    assert run.steps == 0
    if classifier == "logistic":
        assert scale == 1
        probabilities = np.exp(found - np.logaddexp.reduce(found, axis=1, keepdims=True))
        np.testing.assert_allclose(probabilities[:, alone.classes_], alone.predict_proba(vectors), atol=1e-5)


@every_task
@every_classifier
def test_it_learns_what_its_features_tell(fitted, splits, task, classifier):
    model, run, _ = fitted(task, classifier)
    answers = np.concatenate(model.head.targets(model.head.references(splits[task].test.data[:])))
    commonest = np.bincount(answers).max() / len(answers)
    right = (logits(model, splits[task]).argmax(axis=1) == answers).mean()
    assert right > commonest + 0.2
    assert run.best_score == run.history[-1][f"validation_{model.head.best_metric}"]
    assert np.isfinite(run.history[-1]["validation_loss"])


@every_task
@every_classifier
def test_a_model_that_is_loaded_predicts_what_it_did(fitted, splits, tmp_path, task, classifier):
    model, *_ = fitted(task, classifier)
    model.save(tmp_path)
    again = nt.TransferModel.load(tmp_path)
    assert type(again.network) is type(model.network)
    np.testing.assert_allclose(logits(again, splits[task]), logits(model, splits[task]), rtol=0, atol=1e-6)
    texts = splits[task].test.data["words" if task == "ner" else "text"][:]
    label = "tags" if task == "ner" else "label"
    assert [getattr(p, label) for p in again.predict(texts)] == [getattr(p, label) for p in model.predict(texts)]
    assert (tmp_path / "classifier.skops").exists() == (classifier not in LINEAR)


@pytest.mark.thinned(0.3)
@every_task
@pytest.mark.parametrize("classifier", LINEAR)
@pytest.mark.parametrize(
    "family", ["albert", "bert", "deberta-v2", "distilbert", "electra", "modernbert", "nomic_bert"]
)
def test_a_linear_classifier_is_a_head_that_others_open(fitted, splits, tmp_path, task, classifier, family):
    model, _, (alone, scale) = fitted(task, classifier, family)
    model.save(tmp_path)
    auto = AutoModelForTokenClassification if task == "ner" else AutoModelForSequenceClassification
    network, info = auto.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(info[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    assert type(network).__module__.startswith("transformers.") == (task == "ner")
    model.network = network
    found, vectors = logits(model, splits[task]), features(model, splits[task])
    if family == "modernbert" and task == "ner":
        vectors = network.head(torch.from_numpy(vectors).float()).detach().double().numpy()
        np.testing.assert_allclose(vectors.mean(axis=1), 0, atol=1e-5)  # a norm, and no random layer
    assert (found.argmax(axis=1) == alone.predict(vectors)).all()
    decided = alone.decision_function(vectors) * scale
    if decided.ndim == 1:
        decided = np.stack([-decided, decided], axis=1) / 2
    np.testing.assert_allclose(found[:, alone.classes_], decided, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("family", ["albert", "roberta"])
@every_task
def test_other_families_hold_a_forest(fitted, splits, family, task):
    model, _, (alone, _) = fitted(task, "random_forest", family)
    assert isinstance(model.network, ShallowClassifier)
    assert model.encoder.family == family
    assert (logits(model, splits[task]).argmax(axis=1) == alone.predict(features(model, splits[task]))).all()


@pytest.mark.parametrize("classifier", ["logistic", "svm"])
@pytest.mark.parametrize("pooling", ["native", "cls", "mean", "max"])
def test_pooling_is_as_the_head_says(checkpoint, review_splits, caplog, monkeypatch, classifier, pooling):
    kept = remember(monkeypatch)
    caplog.set_level("INFO", "nlp_transfer")
    model = nt.TransferModel.load(checkpoint("bert"), head_of("classification", pooling=pooling))
    nt.fit(model, review_splits, OPTIONS, strategy=Features(classifier))
    assert model.head.pooling == model.network.config.pooling == ("mean" if pooling == "native" else pooling)
    assert ("are the mean of its last hidden states" in caplog.text) == (pooling == "native")
    vectors = features(model, review_splits, model.head.pooling)
    assert (logits(model, review_splits).argmax(axis=1) == kept[0].classifier.predict(vectors)).all()


@every_task
@pytest.mark.parametrize("classifier", ["logistic", "svm"])
def test_the_encoder_stays_as_it_was(checkpoint, splits, task, classifier):
    model = nt.TransferModel.load(checkpoint("bert"), head_of(task))
    before = {name: tensor.clone() for name, tensor in model.encoder.base.state_dict().items()}
    run = nt.fit(model, splits[task], OPTIONS, strategy=Features(classifier))
    after = model.encoder.base.state_dict()
    assert set(before) - set(after) <= {"pooler.dense.weight", "pooler.dense.bias"}
    assert all(torch.equal(before[name], tensor) for name, tensor in after.items())
    labels = len(model.head.labels)
    assert run.trained_weights == (labels * (model.encoder.width + 1) if classifier == "logistic" else 0)
    assert model.new_parameters == {n for n, p in model.network.named_parameters() if p.requires_grad}


@pytest.mark.parametrize("classifier", ["linear_svm", "knn"])
def test_a_label_that_no_row_has_is_never_predicted(checkpoint, review_splits, classifier):
    labels = ["awe", "complaint", "none", "praise"]
    model = nt.TransferModel.load(checkpoint("bert"), nt.TextClassificationHead(labels))
    nt.fit(model, review_splits, OPTIONS, strategy=Features(classifier))
    for prediction in model.predict(review_splits.test.data["text"][:]):
        assert prediction.label in ("complaint", "praise")
        assert prediction.probabilities["awe"] < 1e-9


def test_class_weights_are_heeded(checkpoint, review_splits):
    shares = {}
    for weight in (0.1, 10.0):
        head = nt.TextClassificationHead(["complaint", "praise"], class_weights={"praise": weight})
        model = nt.TransferModel.load(checkpoint("bert"), head)
        nt.fit(model, review_splits, OPTIONS, strategy=Features("logistic"))
        shares[weight] = np.mean([p.probabilities["praise"] for p in model.predict(review_splits.test.data["text"][:])])
    assert shares[10.0] > shares[0.1] + 0.1
    model = nt.TransferModel.load(checkpoint("bert"), head)
    with pytest.raises(OptionError, match="knn takes no class weights"):
        nt.fit(model, review_splits, OPTIONS, strategy=Features("knn"))


def test_one_label_alone_is_one_line(checkpoint, review_splits):
    train = review_splits.train
    praise = train.data.filter(lambda row: row["label"] == "praise")
    one = Splits(type(train)(**vars(train) | {"data": praise}), review_splits.validation, None)
    model = nt.TransferModel.load(checkpoint("bert"), head_of("classification"))
    with pytest.raises(UserError, match="the same label"):
        nt.fit(model, one, OPTIONS, strategy=Features())


@pytest.mark.parametrize(
    ("flags", "line"),
    [
        (["--classifier", "bayes"], "--classifier must be logistic, linear_svm, svm, random_forest or knn; got bayes."),
        (["--classifier", "linear_smv"], "or knn; got linear_smv; did you mean linear_svm?"),
        (["--hidden", "8"], "--hidden has no meaning with --strategy features"),
        (["--dropout", "0.1"], "--dropout has no meaning with --strategy features"),
        (["--label_smoothing", "0.1"], "--label_smoothing has no meaning with --strategy features"),
        (["--trainable_layers", "1"], "--trainable_layers is an option of --strategy freeze, not of features"),
    ],
)
def test_what_makes_no_sense_is_one_line(checkpoint, reviews, tmp_path, flags, line):
    base = ["--model_name_or_path", checkpoint("bert"), "--train_file", reviews["train"], "--strategy", "features"]
    from conftest import run_recipe  # this file is a script of its own as well

    outcome = run_recipe("classify", [*base, *flags], tmp_path)
    assert outcome.status == 2
    (said,) = [told for told in outcome.err.splitlines() if told.startswith("error:")]
    assert line in said


def test_the_options_of_a_recipe_name_it():
    assert nt.strategy_from(nt.StrategyOptions(strategy="features", classifier="knn")) == Features("knn")
    with pytest.raises(OptionError, match="--classifier is an option of --strategy features; name the strategy"):
        nt.strategy_from(nt.StrategyOptions(classifier="knn"))


@pytest.mark.parametrize(("task", "classifier"), [("classification", "random_forest"), ("ner", "linear_svm")])
def test_a_recipe_leaves_a_run(checkpoint, reviews, sentences, tmp_path, task, classifier):
    files = sentences if task == "ner" else reviews
    flags = ["--model_name_or_path", checkpoint("bert"), "--train_file", files["train"], "--test_file", files["test"]]
    flags += ["--strategy", "features", "--classifier", classifier, "--output_dir", "run", "--mixed_precision", "no"]
    from conftest import run_recipe

    outcome = run_recipe("ner" if task == "ner" else "classify", flags, tmp_path)
    assert outcome.status == 0, outcome.err
    assert "Chosen by 3-fold cross-validation" in outcome.err
    card = (tmp_path / "run" / "README.md").read_text()
    assert "was fitted to all training rows" in card
    assert ("import nlp_transfer" in card) == (task == "classification")
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    model = nt.TransferModel.load(tmp_path / "run")
    lines = [json.loads(line) for line in (tmp_path / "run" / "predictions.jsonl").read_text().splitlines()]
    assert metrics["train"]["steps"] == 0
    if task == "classification":
        rows = nt.load_splits(nt.DataOptions(train_file=files["train"], test_file=files["test"]), task).test
        assert [p.label for p in model.predict(rows.data["text"][:])] == [line["predicted"] for line in lines]


def train(folder: Path, encoder: str, task: str, classifier: str) -> np.ndarray:
    files = {"classification": "reviews.csv", "ner": "sentences.conll"}
    path = str(folder / files[task])
    splits = nt.load_splits(nt.DataOptions(train_file=path, test_file=path, validation_split_percentage=0), task)
    model = nt.TransferModel.load(encoder, head_of(task))
    nt.fit(model, splits, OPTIONS, strategy=Features(classifier))
    return logits(model, splits)


@pytest.mark.whole
def test_two_processes_fit_the_same(checkpoint, reviews, sentences, tmp_path):
    from forking import in_two_processes

    (tmp_path / "reviews.csv").write_text(Path(reviews["train"]).read_text())
    (tmp_path / "sentences.conll").write_text(Path(sentences["train"]).read_text())
    in_two_processes(tmp_path, Path(__file__), str(tmp_path), checkpoint())
    for task, classifier in SHARED:
        alone = train(tmp_path, checkpoint(), task, classifier)
        for rank in range(2):
            theirs = np.load(tmp_path / f"{task}-{classifier}-{rank}.npy")
            np.testing.assert_allclose(theirs, alone, rtol=0, atol=1e-6)


SHARED = (("classification", "random_forest"), ("ner", "logistic"))


def main(folder: Path, encoder: str) -> None:
    """What each of the two processes does."""
    vars(fitting).update(FEW_TREES)
    for task, classifier in SHARED:
        found = train(folder, encoder, task, classifier)
        assert Accelerator().num_processes == 2
        np.save(folder / f"{task}-{classifier}-{Accelerator().process_index}.npy", found)
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])


def test_a_fitted_head_is_not_trained_by_steps(fitted, splits, tmp_path, checkpoint):
    nt.set_seed(0)
    model = nt.TransferModel.load(checkpoint(), head_of("classification"))
    result = nt.fit(model, splits["classification"], OPTIONS, strategy=Features("knn"))
    assert result.trained_weights == 0
    model.save(tmp_path)
    with pytest.raises(nt.OptionError, match="scikit-learn classifier, which gradient steps cannot train"):
        nt.fit(nt.TransferModel.load(tmp_path), splits["classification"], OPTIONS, strategy="full")
