"""A zero-shot pipeline of transformers as a teacher: what it says of raw texts, and how far it is to be trusted."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from nlp_transfer.encoders.pretrained import quiet_transformers
from nlp_transfer.errors import OptionError, UserError
from nlp_transfer.few_labels.label_texts import words_of
from nlp_transfer.few_labels.text_view import TextView
from nlp_transfer.few_labels.view_agreement import corrected_accuracy, kappa

log = logging.getLogger(__name__)

ZeroShotPipeline = Callable[..., Any]
"""A `transformers.pipeline("zero-shot-classification")`, or what is called as it is."""

_DRAWS = 8
_LEAST_VOUCHED = 0.1  # accuracy of the label texts beyond chance


@dataclass(frozen=True)
class Trust:
    """Accuracies beyond chance, from 0 to 1: of the teacher, and of the label texts by themselves."""

    teacher: float
    label_texts: float

    @property
    def share(self) -> float:
        """How much of the two together the teacher is to count for."""
        return self.teacher / max(self.teacher + self.label_texts, 1e-9)


def open_teacher(name_or_path: str, device: torch.device | None = None) -> ZeroShotPipeline:
    """The zero-shot pipeline of an NLI model, a folder or a hub id.

    Raises OptionError where it cannot be opened, or has no label for what a text entails.
    """
    from transformers import pipeline  # a second to load, which only a teacher needs

    try:
        with quiet_transformers():
            teacher = pipeline("zero-shot-classification", model=name_or_path, device=device)
    except (OSError, ValueError, KeyError, RuntimeError, UserError) as error:
        reason = " ".join(str(error).split())
        raise OptionError(f"--teacher {name_or_path} does not open as an NLI model: {reason}") from error
    if teacher.entailment_id == -1:
        labels = ", ".join(map(str, teacher.model.config.id2label.values()))
        raise OptionError(
            f"--teacher {name_or_path} is no NLI model: none of its labels ({labels}) is 'entailment'; name one that "
            "is, such as roberta-large-mnli."
        )
    return teacher


def teacher_probabilities(
    teacher: ZeroShotPipeline, texts: Sequence[str], labels: Sequence[str], template: str, batch_size: int = 32
) -> np.ndarray:
    """What the teacher says of each text, `(texts, labels)`; it knows labels by their names in words.

    `template` is the sentence that it judges, with {} for the name.
    """
    words = [words_of(name) for name in labels]
    names = words if len(set(words)) == len(words) else list(labels)
    place = {name: number for number, name in enumerate(names)}
    probabilities = np.zeros((len(texts), len(labels)))
    answers = teacher(
        list(texts), candidate_labels=names, hypothesis_template=template, multi_label=False, batch_size=batch_size
    )
    for row, answer in enumerate(answers):
        probabilities[row, [place[name] for name in answer["labels"]]] = answer["scores"]
    return probabilities


def trust_in(teacher: np.ndarray, view: TextView, seed: int = 0) -> Trust:
    """How far the labels `teacher` `(texts,)` of the view's texts are to be trusted, beside the label texts.

    Of three whose errors are independent of each other's, the accuracies follow from how often two agree (Platanios et
    al. 2014): these are the teacher, and two halves of the view.
    """
    rng = np.random.default_rng(seed)
    of_halves, of_teacher = [], []
    for _ in range(_DRAWS):
        first, second = (half.nearest_labels().argmax(axis=1) for half in view.halves(rng))
        of_halves.append(kappa(first, second))
        of_teacher.append((kappa(first, teacher) + kappa(second, teacher)) / 2)
    label_texts = corrected_accuracy(float(np.mean(of_halves)))
    with_teacher = max(float(np.mean(of_teacher)), 0.0)
    if label_texts < _LEAST_VOUCHED:  # halves that say nothing sure cannot vouch for anybody
        return Trust(min(with_teacher, _LEAST_VOUCHED), label_texts)
    return Trust(min(with_teacher / label_texts, 1.0), label_texts)
