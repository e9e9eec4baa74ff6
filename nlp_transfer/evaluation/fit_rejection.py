"""Fitting what tells texts unlike anything in training, and measuring how well it does."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

import numpy as np
from accelerate import Accelerator
from datasets import Dataset

from nlp_transfer.config import PredictionOptions, RejectionOptions
from nlp_transfer.data.inputs import TokenInputs
from nlp_transfer.data.prediction_rows import open_texts
from nlp_transfer.data.splits import Splits
from nlp_transfer.decoding.probabilities import softmax
from nlp_transfer.decoding.rejection import METHODS, Gaussians, Rejection, energies, split_states
from nlp_transfer.encoders.sklearn_head.sklearn_network import ShallowClassifier
from nlp_transfer.errors import OptionError
from nlp_transfer.models.inference import infer
from nlp_transfer.models.transfer_model import TransferModel

log = logging.getLogger(__name__)

_FOLDS = 5  # of the labels, each left out once
_MOST_FITTED = 5_000  # rows of a logistic regression
_MOST_ROWS = 50_000  # of training, whose states are held in memory


def fit_rejection(
    model: TransferModel,
    splits: Splits,
    options: RejectionOptions,
    accelerator: Accelerator | None = None,
    batch_size: int = 64,
) -> Rejection | None:
    """Let a trained model tell texts unlike anything in training, as `model.rejection`; nothing without `reject`.

    Of `METHODS` that one is taken which, with a fifth of the labels left out at a time, tells the validation rows of
    these labels from the others best (AUROC). The threshold keeps `reject_keeps` percent of the validation rows.
    Raises OptionError where rows have no single label, or none is there for validation, and for a classifier of
    scikit-learn; DataError for an `unknown_file` that cannot be read.
    """
    if not options.reject:
        return None
    require_rejection(model, splits)
    if isinstance(model.network, ShallowClassifier):
        raise OptionError(
            "--reject goes by what the last layer of a network reads, and this classifier of scikit-learn is no layer; "
            f"give --classifier {model.head.classifiers[0]}, or another --strategy."
        )
    assert splits.validation is not None, "require_rejection has seen to that"
    train = splits.train.data
    if len(train) > _MOST_ROWS:
        places = np.random.default_rng(0).choice(len(train), _MOST_ROWS, replace=False)
        train = train.select(np.sort(places).tolist())

    def states_of(rows: Dataset) -> tuple[np.ndarray, np.ndarray]:
        inputs = TokenInputs(model.encode(rows), model.pad_id)
        outputs = infer(
            model.network, model.head, inputs, batch_size=batch_size, accelerator=accelerator, with_states=True
        )
        logits, states = split_states(outputs, len(model.head.labels))
        return model.head.logits_of_rows(logits), states  # type: ignore[attr-defined]

    _, train_states = states_of(train)
    logits, states = states_of(splits.validation.data)
    train_labels, labels = (_label_ids(model, rows) for rows in (train, splits.validation.data))
    aurocs = _left_out(train_states, train_labels, states, labels)
    method = max(METHODS, key=lambda name: aurocs.get(name, 0.0))
    fitted = Rejection(method, 0.0)
    if fitted.reads_states:
        fitted = _distance(train_states, train_labels)
    threshold = float(np.quantile(fitted.scores(logits, states), options.reject_keeps / 100))
    fitted = replace(fitted, threshold=threshold)
    findings: dict[str, Any] = {"auroc_of_left_out_labels": aurocs, "keeps": options.reject_keeps}
    tested = [splits.test] if splits.test else []
    if tested:
        logits, states = states_of(tested[0].data)
    known = fitted.scores(logits, states)
    findings["split"] = "test" if tested else "validation"
    findings |= {"rows": len(known), "marked": int((known > threshold).sum())}
    if options.unknown_file:
        findings["unknown"] = _on_unknown(model, fitted, options.unknown_file, known, logits, states_of)
    model.rejection = replace(fitted, findings=findings)
    _log(model.rejection)
    return model.rejection


def require_rejection(model: TransferModel, splits: Splits) -> None:
    """Raise OptionError where unknown texts cannot be told, before anything is trained."""
    if getattr(model.head, "problem", None) != "single_label":
        raise OptionError(f"--reject is for texts with one label; leave it out for {model.head.title}.")
    if splits.validation is None:
        raise OptionError("--reject needs validation rows for its threshold; leave --validation_split_percentage out.")


def auroc(known: np.ndarray, unknown: np.ndarray) -> float:
    """The share of pairs of a known and an unknown text in which the unknown one has the higher score."""
    from sklearn.metrics import roc_auc_score  # takes a second

    is_unknown = np.repeat([False, True], [len(known), len(unknown)])
    return float(roc_auc_score(is_unknown, np.concatenate([known, unknown])))


def _distance(states: np.ndarray, labels: np.ndarray) -> Rejection:
    return Rejection("mahalanobis", 0.0, _gaussians(states, labels), _gaussians(states, np.zeros_like(labels)))


def _gaussians(states: np.ndarray, labels: np.ndarray) -> Gaussians:
    """The mean of each label that occurs, and a root of the inverse of the covariance that they share.

    The covariance is shrunk (Ledoit and Wolf 2004), as there may be fewer rows than numbers in a state.
    """
    from sklearn.covariance import ledoit_wolf  # takes a second

    ids, places = np.unique(labels, return_inverse=True)
    means = np.stack([states[labels == i].mean(axis=0, dtype=np.float64) for i in ids])
    covariance, _ = ledoit_wolf(states.astype(np.float64) - means[places], assume_centered=True)
    values, vectors = np.linalg.eigh(covariance)
    whitening = vectors / np.sqrt(np.maximum(values, values.max() * 1e-10))
    return Gaussians(means.astype(np.float32), whitening.astype(np.float32))


def _left_out(train: np.ndarray, train_labels: np.ndarray, states: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """The AUROC of each method, the mean over folds of labels that are left out and then to be told.

    The network's own logits have learned from the labels that are left out, so those of the energy are of a logistic
    regression on the states that has not. The encoder has still seen them: this ranks methods, and how well texts of
    other labels are told is another number.
    """
    count = int(max(train_labels.max(), labels.max())) + 1
    order = np.random.default_rng(0).permutation(count)
    found: dict[str, list[float]] = {name: [] for name in METHODS}
    for out in np.array_split(order, min(_FOLDS, count)):
        is_out = np.isin(labels, out)
        rest = np.setdiff1d(np.arange(count), out)
        kept = np.isin(train_labels, rest)
        if is_out.all() or not is_out.any() or not kept.any():
            continue
        scores = {
            "mahalanobis": _distance(train[kept], train_labels[kept]).scores(states[:, :0], states),
            "energy": energies(_logits_of_others(train[kept], train_labels[kept], states)),
        }
        for name, values in found.items():
            values.append(auroc(scores[name][~is_out], scores[name][is_out]))
    return {name: float(np.mean(values)) for name, values in found.items() if values}


def _logits_of_others(train: np.ndarray, labels: np.ndarray, states: np.ndarray) -> np.ndarray:
    """Logits of a logistic regression on the states of some labels, `(rows, labels)`; of one label they are 0."""
    from sklearn.linear_model import LogisticRegression  # takes a second

    if len(np.unique(labels)) < 2:
        return np.zeros((len(states), 1))
    places = np.random.default_rng(0).permutation(len(train))[:_MOST_FITTED]
    places = np.union1d(places, np.unique(labels, return_index=True)[1])  # every label at least once
    mean, deviation = train.mean(axis=0), train.std(axis=0) + 1e-12
    fitted = LogisticRegression(C=0.1, max_iter=200).fit((train[places] - mean) / deviation, labels[places])
    values = fitted.decision_function((states - mean) / deviation)
    return np.stack([-values / 2, values / 2], axis=1) if values.ndim == 1 else values


def _label_ids(model: TransferModel, rows: Dataset) -> np.ndarray:
    return np.array([items[0] for items in model.head.targets(model.head.references({"label": rows["label"]}))])


def _on_unknown(
    model: TransferModel, rejection: Rejection, path: str, known: np.ndarray, logits: np.ndarray, states_of: Any
) -> dict[str, Any]:
    """How well the texts of a file, which are of no label, are told from the scored rows."""
    reading = PredictionOptions(model_name_or_path=path, output_file=path, input_file=path)
    texts = [row.text for row in open_texts(reading, tagged=False)]
    columns = model.head.columns_of([tuple(text) if isinstance(text, list) else text for text in texts])
    others, states = states_of(Dataset.from_dict(columns))
    scores = rejection.scores(others, states)
    surest = [-softmax(part).max(axis=1) for part in (logits, others)]
    return {
        "source": path,
        "rows": len(scores),
        "marked": int((scores > rejection.threshold).sum()),
        "auroc": auroc(known, scores),
        "auroc_of_probability": auroc(*surest),
    }


def _log(rejection: Rejection) -> None:
    findings = rejection.findings
    tried = ", ".join(f"{name} {value:.3f}" for name, value in findings["auroc_of_left_out_labels"].items())
    log.info("Unknown texts are told by %s (AUROC with labels left out: %s).", rejection.method, tried or "none")
    log.info("Of %s %s rows %s are marked as unknown.", f"{findings['rows']:,}", findings["split"], findings["marked"])
    if unknown := findings.get("unknown"):
        log.info(
            "Of %s rows of %s %s are marked as unknown: AUROC %.3f, by the probability alone %.3f.",
            *(f"{unknown['rows']:,}", unknown["source"], unknown["marked"]),
            *(unknown["auroc"], unknown["auroc_of_probability"]),
        )
