"""The next batch of rows to label: picked, written, and noted in the folder."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from nlp_transfer.config import LabellingOptions
from nlp_transfer.errors import OptionError
from nlp_transfer.few_labels.label_head import LabelVectors
from nlp_transfer.labelling.batch_formats import studio_config, write_batch
from nlp_transfer.labelling.guesses import Guesses, guessed_entities, guessed_labels, head_for
from nlp_transfer.labelling.kept_vectors import comparable, kept_vectors
from nlp_transfer.labelling.labelling_folder import Batch, LabellingFolder
from nlp_transfer.labelling.loop_setup import begin_or_extend
from nlp_transfer.labelling.picking import balancing_weights, pick
from nlp_transfer.labelling.text_encoder import TextEncoder
from nlp_transfer.labelling.texts_to_label import CHECK_SHARE, RawText
from nlp_transfer.system.atomic_files import write_atomically

log = logging.getLogger(__name__)


def next_batch(options: LabellingOptions) -> Path:
    """Pick `options.rows` rows, write them, and return the path of their file.

    A tenth of all rows that are given out are drawn at random, to check the score, and never picked or trained on.
    What an earlier call was interrupted in is finished first, in place of another batch. Raises OptionError for a
    folder of other texts or labels or that another process uses, and where fewer rows are left; DataError for texts
    that cannot be read.
    """
    given = os.path.abspath(options.output_file) if options.output_file else ""
    if not Path(options.folder).exists():
        _require_new(given)
    with LabellingFolder(options.folder) as folder:
        encoder = begin_or_extend(folder, options)
        unfinished = [batch for batch in folder.state.batches if not batch.is_written]
        if not unfinished or unfinished[0].file != given:
            _require_new(given)
        if unfinished:
            log.info("Batch %d was picked before an interruption; it is written now.", unfinished[0].number)
            return _write(folder, unfinished[0], options.output_file)
        batch = _picked(folder, options, encoder)
        folder.state.batches.append(batch)
        for name in batch.rows:
            folder.state.rejected.pop(name, None)  # where it is offered again
        folder.save()
        return _write(folder, batch, None)


def _require_new(path: str) -> None:
    """Raise OptionError for a file that is there: somebody may have labelled rows in it."""
    if path and Path(path).exists():
        raise OptionError(f"--output_file {path} is there already; name another, nothing is replaced.")


def _picked(folder: LabellingFolder, options: LabellingOptions, encoder: TextEncoder) -> Batch:
    state = folder.state
    to_check, to_pick = _left(folder, offer_again=options.offer_again)
    _require_left(folder, options, len(to_check) + len(to_pick))
    offered = sum(len(batch.rows) for batch in state.batches)
    wanted = round(CHECK_SHARE * (offered + options.rows)) - sum(len(batch.check) for batch in state.batches)
    check_count = min(max(wanted, options.rows - len(to_pick), 0), len(to_check), options.rows)
    check = to_check[:check_count]
    form = options.format or ("csv" if state.task == "classification" else "doccano")
    write_batch(form, state.task, [], {}, state.labels)  # refuses a form that cannot hold the answers
    ids, texts = list(folder.texts), list(folder.texts.values())
    places = {name: place for place, name in enumerate(ids)}
    vectors, guesses, weights = _guessed(folder, encoder, texts, places)
    picked = pick(
        vectors,
        np.array([places[name] for name in to_pick], int),
        options.rows - check_count,
        guesses.uncertainty if guesses and _has_learned(folder) else None,
        weights,
        seed=state.seed + len(state.batches),
    )
    chosen = [ids[place] for place in picked.tolist()]
    filled = {ids[place]: guesses.answers[place] for place in picked.tolist()} if guesses and options.prefill else {}
    number = len(state.batches) + 1
    suffix = write_batch(form, state.task, [], {}, state.labels).suffix
    # In the folder by its place there, so that the folder may be moved.
    file = os.path.abspath(options.output_file) if options.output_file else f"batches/batch-{number:03}{suffix}"
    # In the order of their ids, which is none: rows to check must not stand together.
    return Batch(number, form, file, sorted([*chosen, *check]), check, filled)


def _left(folder: LabellingFolder, *, offer_again: bool) -> tuple[list[str], list[str]]:
    """The rows that may be given out: of those that are kept apart, in their order, and of the others."""
    state = folder.state
    taken = set(state.answers) if offer_again else {*state.answers, *state.rejected, *state.waiting}
    apart = folder.check_ids
    kept = set(apart)
    return [n for n in apart if n not in taken], [n for n in folder.texts if n not in kept and n not in taken]


def _require_left(folder: LabellingFolder, options: LabellingOptions, left: int) -> None:
    state = folder.state
    if waiting := state.waiting:
        again = "may be offered again" if options.offer_again else "are not offered again (--offer_again does)"
        log.info("%d row%s of earlier batches are out; they %s.", len(waiting), "s" * (len(waiting) != 1), again)
    if options.rows > left:
        counts = (
            f"of {len(folder.texts):,} texts {len(state.answers):,} are labelled, {len(state.waiting):,} out and "
            f"{len(state.rejected):,} rejected"
        )
        mend = f"give --rows {left}" if left else "give a --text_file with further texts, or --offer_again"
        raise OptionError(f"--rows {options.rows} is more than the {left:,} rows that are left: {counts}; {mend}.")


def _has_learned(folder: LabellingFolder) -> bool:
    """Whether guesses come from labelled rows, or a tagger: by label texts alone nobody knows what is hard."""
    return folder.state.task == "ner" or bool(set(folder.state.answers) - set(folder.check_ids))


def _guessed(
    folder: LabellingFolder, encoder: TextEncoder, texts: Sequence[RawText], places: Mapping[str, int]
) -> tuple[np.ndarray, Guesses | None, np.ndarray | None]:
    """The vectors of all texts, what is guessed of each if anything is, and the weights that balance the labels."""
    state = folder.state
    if state.task == "ner":
        vectors = kept_vectors(folder.path / "vectors", texts, state.encoder, encoder.embed_by(state.encoder))
        (vectors,) = comparable(vectors)
        if not encoder.is_tagger:
            return vectors, None, None
        return vectors, guessed_entities(encoder.model, [text.text for text in texts], list(state.labels)), None
    vectors, label_texts = vectors_of(folder, encoder)
    apart = set(folder.check_ids)
    names = [name for name in state.answers if name not in apart]
    labels = list(state.labels)
    targets = np.array([labels.index(str(state.answers[name])) for name in names], int)
    labelled = np.array([places[name] for name in names], int)
    head = head_for(vectors[labelled], targets, len(labels), label_texts) if names else None
    guesses = guessed_labels(vectors, head, labels, label_texts)
    return vectors, guesses, balancing_weights(guesses.kinds, targets, len(labels))


def vectors_of(folder: LabellingFolder, encoder: TextEncoder) -> tuple[np.ndarray, LabelVectors]:
    """The comparable vectors of all texts `(texts, width)`, and those of the label texts."""
    state = folder.state
    texts = list(folder.texts.values())
    vectors = kept_vectors(folder.path / "vectors", texts, state.encoder, encoder.embed)
    written = [text for several in state.labels.values() for text in several]
    of_labels = kept_vectors(
        folder.path / "vectors" / "labels", [RawText("", text, 0) for text in written], state.encoder, encoder.embed
    )
    vectors, of_labels = comparable(vectors, of_labels)
    owners = np.repeat(np.arange(len(state.labels)), [len(several) for several in state.labels.values()])
    return vectors, LabelVectors(of_labels, owners)


def _write(folder: LabellingFolder, batch: Batch, other_file: str | None) -> Path:
    """Write the file of a batch that the state has, unless it is there: somebody may have begun to label in it."""
    state = folder.state
    batch.file = os.path.abspath(other_file) if other_file else batch.file
    path = folder.path / batch.file
    if not path.exists():
        rows = [folder.texts[name] for name in batch.rows]
        written = write_batch(batch.format, state.task, rows, batch.guesses, state.labels)
        try:
            if not os.path.isabs(batch.file):
                path.parent.mkdir(exist_ok=True)
            write_atomically(path, written.text, flushed=True)
        except OSError as error:
            raise OptionError(
                f"cannot write {path}: {error.strerror}; the batch is kept: repeat the command with another "
                f"--output_file."
            ) from error
    if batch.format == "label_studio":
        config = folder.write("label_studio.xml", studio_config(state.task, list(state.labels)))
        log.info("The labelling config for Label Studio is in %s.", config)
    batch.is_written = True
    folder.save()
    filled = f", {len(batch.guesses)} pre-filled" if batch.guesses else ""
    log.info(
        "Batch %d: %d rows%s, %d to check the score; they are in %s.",
        batch.number, len(batch.rows), filled, len(batch.check), path,
    )  # fmt: skip
    return path
