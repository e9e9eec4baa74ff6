"""The models of a server: their names, and what is told of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nlp_transfer.config.serving_options import ServingOptions
from nlp_transfer.errors import OptionError
from nlp_transfer.evaluation.predictor import ModelSource, Predictor

_PARTS = ("exported", "model")  # of a run, whose own name tells more


def name_models(paths: Sequence[str], options: ServingOptions) -> dict[str, ModelSource]:
    """A source for each path by a name: that of its folder, with the one around it where two are alike.

    Raises OptionError where none is given, or one twice.
    """
    if not paths:
        raise OptionError("name the folder of a run, as in: nlp-transfer serve runs/classify.")
    shorts = {path: _short(path) for path in paths}
    if len(shorts) < len(paths):
        raise OptionError(f"{next(path for path in paths if paths.count(path) > 1)} is named twice; name it once.")
    counts = Counter(shorts.values())
    names = {
        path: name if counts[name] == 1 else "-".join((*Path(path).resolve().parts[-3:],)).strip("-/")
        for path, name in shorts.items()
    }
    if len(set(names.values())) < len(paths):
        raise OptionError(f"two of {', '.join(paths)} are one folder, or of one name; name each once.")
    return {
        name: ModelSource(
            path,
            precision=options.mixed_precision,
            calibrated=options.calibrated,
            max_length=options.max_length,
            trust_remote_code=options.trust_remote_code,
        )
        for path, name in names.items()
    }


def _short(path: str) -> str:
    folder = Path(path).resolve() if Path(path).exists() else Path(path)
    if folder.name in _PARTS and folder.parent.name:
        return f"{folder.parent.name}-{folder.name}"
    return folder.name or str(path)


def open_models(sources: Mapping[str, ModelSource], threads: int | None) -> dict[str, Predictor]:
    """Load the models, and predict a text with each, so that no request waits for what is set up once."""
    models = {name: source.open(threads) for name, source in sources.items()}
    for model in models.values():
        model.predict([["a", "b"] if model.pairs else "a"], 1)
    return models


def description(name: str, model: Predictor) -> dict[str, Any]:
    """What `GET /model` tells of a model, as plain JSON values."""
    return {
        "name": name,
        "task": model.task,
        "labels": list(model.labels),
        "takes": "pairs of texts" if model.pairs else "texts or lists of words" if model.labels_words else "texts",
        "form": model.form,
        "max_length": model.max_length,
        "has_probabilities": not model.no_probabilities,
        "can_abstain": _can_abstain(model),
        **model.about(),
    }


def _can_abstain(model: Predictor) -> bool:
    try:
        model.require_confidence()
    except OptionError:
        return False
    return True
