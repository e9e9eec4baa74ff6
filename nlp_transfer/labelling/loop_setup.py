"""The beginning of a labelling loop, and what later calls may add to it: texts and labels."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from nlp_transfer.config import LabellingOptions, ModelOptions
from nlp_transfer.config.option_fields import require_given
from nlp_transfer.data.readers.reader_registry import require_file
from nlp_transfer.errors import OptionError
from nlp_transfer.few_labels.label_texts import label_texts, read_label_texts
from nlp_transfer.labelling.labelling_folder import LabellingFolder, State
from nlp_transfer.labelling.text_encoder import TextEncoder
from nlp_transfer.labelling.texts_to_label import read_raw_texts

log = logging.getLogger(__name__)

_SHOWN = 5
_NO_LABELS = "labels are missing; name them with --label_names a,b,c, or describe them in a --labels_file."


def begin_or_extend(folder: LabellingFolder, options: LabellingOptions) -> TextEncoder:
    """Make the state of a new folder from the options, or compare that of an old one with them; return the model.

    Further texts and further labels join. Raises OptionError where texts or labels that the folder has are no longer
    there, where the encoder is another one, and where a new folder lacks texts or labels; DataError for texts that
    cannot be read.
    """
    if options.text_file:
        require_file(Path(options.text_file))
    labels = _given_labels(options)
    if folder.is_new:
        return _begin(folder, options, labels)
    state = folder.state
    if labels is not None:
        _extend_labels(folder, labels)
    if options.text_file:
        _extend_texts(folder, options)
    if options.task not in (None, state.task):
        raise OptionError(
            f"--folder {folder.path} is for --task {state.task}; got {options.task}. Name another folder."
        )
    name = options.model_name_or_path or state.encoder
    if name != state.encoder and state.task == "classification":
        raise OptionError(
            f"--folder {folder.path} holds vectors of {state.encoder}; got --model_name_or_path {name}. Leave it out, "
            f"or name another folder."
        )
    return TextEncoder(name, options.max_length or state.max_length, options.trust_remote_code)


def _begin(
    folder: LabellingFolder, options: LabellingOptions, labels: Mapping[str, Sequence[str]] | None
) -> TextEncoder:
    require_given(options, "text_file")
    name = options.model_name_or_path or ModelOptions.model_name_or_path
    if labels is None and options.model_name_or_path is None:
        raise OptionError(_NO_LABELS)
    raw = read_raw_texts(options)  # first: what is wrong with a file is told before a model is loaded
    encoder = TextEncoder(name, options.max_length, options.trust_remote_code)
    task = options.task or ("ner" if encoder.is_tagger else "classification")
    if labels is None and task == "ner" and encoder.is_tagger:
        labels = label_texts(encoder.entity_types)
    if labels is None:
        raise OptionError(_NO_LABELS)
    if task == "classification" and len(labels) < 2:
        raise OptionError(f"one label, '{next(iter(labels))}', tells no texts apart; name two or more.")
    for note in raw.notes:
        log.info(note)
    _log_texts(options, raw.repeats, raw.skipped)
    folder.save_texts(raw.texts)
    written = {label: list(texts) for label, texts in labels.items()}
    folder.begin(State(task, written, name, options.seed, options.max_length))
    return encoder


def _given_labels(options: LabellingOptions) -> dict[str, tuple[str, ...]] | None:
    if options.label_names:
        return label_texts(options.label_names, options.labels_file)
    return read_label_texts(options.labels_file) if options.labels_file else None


def _extend_labels(folder: LabellingFolder, labels: Mapping[str, Sequence[str]]) -> None:
    """Take new labels, and other texts of old ones. OptionError where old ones are missing."""
    state = folder.state
    if missing := [name for name in state.labels if name not in labels]:
        raise OptionError(
            f"--folder {folder.path} has the labels {_listed(list(state.labels))}, of which {_listed(missing)} "
            f"{'is' if len(missing) == 1 else 'are'} not given now; give all of them, or name another folder."
        )
    if new := [name for name in labels if name not in state.labels]:
        log.info("New labels: %s.", _listed(new))
    state.labels = {name: list(labels[name]) for name in (*state.labels, *(n for n in labels if n not in state.labels))}


def _extend_texts(folder: LabellingFolder, options: LabellingOptions) -> None:
    """Take new texts. OptionError where old ones are missing."""
    raw = read_raw_texts(options)
    given = {text.id for text in raw.texts}
    missing = [text for text in folder.texts.values() if text.id not in given]
    if missing:
        raise OptionError(
            f"--folder {folder.path} is of other texts: {len(missing):,} of its {len(folder.texts):,} are not in "
            f"{options.text_file}, such as '{missing[0].text[:60]}'; give the file it was begun with, also with "
            f"further texts, leave --text_file out, or name another folder."
        )
    new = [text for text in raw.texts if text.id not in folder.texts]
    if new:
        log.info("%s: %d new texts join the %d there were.", options.text_file, len(new), len(folder.texts))
        folder.save_texts([*folder.texts.values(), *new])


def _log_texts(options: LabellingOptions, repeats: int, skipped: int) -> None:
    if repeats:
        log.info(
            "%s: %d row%s repeat%s the text of an earlier one; each text is offered once.",
            options.text_file, repeats, "s" * (repeats != 1), "s" * (repeats == 1),
        )  # fmt: skip
    if skipped:
        log.info("%s: left out %d bad row%s.", options.text_file, skipped, "s" * (skipped != 1))


def _listed(names: Sequence[str]) -> str:
    return ", ".join(f"'{name}'" for name in names[:_SHOWN]) + ", ..." * (len(names) > _SHOWN)
