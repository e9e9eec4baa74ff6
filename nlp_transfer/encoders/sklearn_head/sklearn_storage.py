"""Saving of scikit-learn classifiers, and loading without trusting the file."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from transformers.utils import cached_file

from nlp_transfer.errors import ModelError, OptionError

CLASSIFIER_FILE = "classifier.skops"
"""Beside config.json, in the format of skops, which holds no code."""

# What skops does not trust by itself; `_require_sound` looks at what it warns of: where the nodes of a tree point.
_TRUSTED = ("sklearn.tree._tree.Tree",)
_ON_THE_HUB = ("cache_dir", "force_download", "local_files_only", "revision", "subfolder", "token")


def require_skops() -> None:
    """Raise OptionError if skops is not installed; called before a classifier is fitted, too."""
    try:
        import skops.io  # noqa: F401 (optional: the extra `features`)
    except ImportError as error:
        raise OptionError(
            'this classifier is saved with skops, which is not installed; pip install "nlp-transfer[features]", '
            "or choose --classifier logistic or linear_svm."
        ) from error


def save_classifier(classifier: Any, folder: Path) -> None:
    """Write a fitted pipeline of scikit-learn to `classifier.skops` in a folder."""
    require_skops()
    import skops.io  # optional: the extra `features`

    skops.io.dump(classifier, folder / CLASSIFIER_FILE, compression=zipfile.ZIP_DEFLATED)


def find_classifier(name_or_path: str | Path, options: dict[str, Any]) -> Path:
    """The file in a folder, or fetched from the hub with those of `options` that `from_pretrained` takes for it."""
    if Path(name_or_path).is_dir():
        return Path(name_or_path) / options.get("subfolder", "") / CLASSIFIER_FILE
    return Path(cached_file(name_or_path, CLASSIFIER_FILE, **{k: options[k] for k in _ON_THE_HUB if k in options}))


def load_classifier(path: Path) -> Any:
    """Read what `save_classifier` wrote.

    Raises ModelError for a file that is damaged, or holds anything else than such a classifier, and OptionError where
    skops is not installed.
    """
    require_skops()
    import skops.io  # optional: the extra `features`
    from skops.io.exceptions import UntrustedTypesFoundException

    try:
        unknown = sorted(set(skops.io.get_untrusted_types(file=path)) - set(_TRUSTED))
        classifier = None if unknown else skops.io.load(path, trusted=list(_TRUSTED))
    except FileNotFoundError as error:
        raise ModelError(f"{path.parent} lacks {path.name}; give a folder that save_pretrained has written.") from error
    except UntrustedTypesFoundException as error:
        raise ModelError(f"{path}: {str(error).splitlines()[0]}") from error
    except Exception as error:  # a damaged file may raise anything
        raise ModelError(f"{path} is damaged ({type(error).__name__}); fetch or save the folder again.") from error
    if unknown:
        raise ModelError(
            f"{path} holds types that no classifier of nlp_transfer has, so it is not loaded: {', '.join(unknown)}."
        )
    _require_sound(classifier, path)
    return classifier


def _require_sound(classifier: Any, path: Path) -> None:
    """Refuse indices that point out of their arrays: the compiled code of scikit-learn does not check them."""
    from sklearn.pipeline import Pipeline  # takes a second

    try:
        is_sound = isinstance(classifier, Pipeline) and all(_is_sound(step) for _, step in classifier.steps)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError):
        is_sound = False
    if not is_sound:
        raise ModelError(f"{path} holds no classifier that nlp_transfer could have saved, so it is not loaded.")


def _is_sound(step: Any) -> bool:
    from sklearn.decomposition import PCA  # takes a second, as the others
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.preprocessing import Normalizer, StandardScaler
    from sklearn.svm import SVC

    if isinstance(step, str):
        return step == "passthrough"
    width = step.n_features_in_
    if type(step) is RandomForestClassifier:
        return all(_is_sound_tree(tree.tree_, width, len(step.classes_)) for tree in step.estimators_)
    if type(step) is SVC:
        vectors, classes = len(step.support_), len(step.classes_)
        return (
            step.support_vectors_.shape == (vectors, width)
            and step._n_support.shape == (classes,)
            and (step._n_support >= 0).all()
            and step._n_support.sum() == vectors
            and step._dual_coef_.shape == (classes - 1, vectors)
            and step._intercept_.shape == (classes * (classes - 1) // 2,)
        )
    if type(step) is KNeighborsClassifier:
        is_label = (step._y >= 0) & (step._y < len(step.classes_))
        return step._fit_X.shape == (len(step._y), width) and bool(is_label.all())
    return type(step) in (Normalizer, PCA, StandardScaler)


def _is_sound_tree(tree: Any, width: int, classes: int) -> bool:
    state = tree.__getstate__()
    nodes, places = state["nodes"], np.arange(len(state["nodes"]))
    inner = nodes["left_child"] != -1
    children = [nodes[side][inner] for side in ("left_child", "right_child")]
    return (
        state["values"].shape == (len(nodes), 1, classes)
        # A child stands behind its parent, so that no path has a loop.
        and all(((side > places[inner]) & (side < len(nodes))).all() for side in children)
        and bool(((nodes["feature"][inner] >= 0) & (nodes["feature"][inner] < width)).all())
    )
