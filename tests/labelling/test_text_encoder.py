"""Encoders and taggers give vectors; a tagger also says where it is unsure, and what it would mark."""

from __future__ import annotations

import json

import numpy as np
import pytest
from conftest import sentence_lines, training_flags
from loops import options, raw_file

from nlp_transfer.errors import ModelError
from nlp_transfer.labelling.guesses import guessed_entities
from nlp_transfer.labelling.label_status import label_status
from nlp_transfer.labelling.merging import merge_file
from nlp_transfer.labelling.next_batch import next_batch
from nlp_transfer.labelling.text_encoder import TextEncoder

__all__ = ["training_flags"]

TEXTS = [" ".join(word for word, _ in sentence) + f" {number}" for number, sentence in enumerate(sentence_lines(40))]


def test_an_encoder_is_no_tagger_and_a_trained_model_keeps_its_kind(checkpoint, finished):
    encoder, classifier, tagger = (
        TextEncoder(str(name)) for name in (checkpoint(), finished("classify")[0], finished("ner")[0])
    )
    assert (encoder.is_tagger, classifier.is_tagger, tagger.is_tagger) == (False, False, True)
    assert set(tagger.entity_types) == {"PER", "LOC"}
    for one in (encoder, classifier, tagger):
        assert one.embed(TEXTS[:3]).shape == (3, 32)
    with pytest.raises(ModelError, match="there is no folder"):
        TextEncoder("/no/such").embed(["a"])


def test_a_tagger_guesses_entities_of_the_types_that_are_wanted(finished):
    model = TextEncoder(str(finished("ner")[0])).model
    guesses = guessed_entities(model, TEXTS, ["PER"])
    everything = guessed_entities(model, TEXTS, ["PER", "LOC"])
    for place, (text, predicted) in enumerate(zip(TEXTS, model.predict(TEXTS), strict=True)):
        spans = [[span.start, span.end, span.type] for span in predicted.spans]
        assert everything.answers[place] == spans
        assert guesses.answers[place] == [span for span in spans if span[2] == "PER"]
        assert guesses.uncertainty[place] == pytest.approx(1 - np.mean(predicted.probabilities))
        assert text[slice(*spans[0][:2])] if spans else True


@pytest.mark.parametrize("form", ["label_studio", "doccano", "prodigy"])
def test_a_loop_of_entities_with_a_tagger(tmp_path, finished, form):
    run = str(finished("ner")[0])
    path = next_batch(
        options(tmp_path, text_file=str(raw_file(tmp_path, TEXTS)), model_name_or_path=run, rows=20, format=form)
    )
    state = json.loads((tmp_path / "labelling" / "state.json").read_text())
    assert state["task"] == "ner"
    assert set(state["labels"]) == {"PER", "LOC"}
    (batch,) = state["batches"]
    assert set(batch["guesses"]) == set(batch["rows"]) - set(batch["check"])
    text = path.read_text()
    if form == "label_studio":
        tasks = json.loads(text)
        for task in tasks:
            task["annotations"] = [{"result": task.pop("predictions", [{"result": []}])[0]["result"]}]
        text = json.dumps(tasks)
    path.write_text(text)
    merged = merge_file(options(tmp_path, labelled_file=str(path)))
    assert len(merged.new) == 20
    answers = json.loads((tmp_path / "labelling" / "state.json").read_text())["answers"]
    assert {name: answers[name] for name in batch["guesses"]} == batch["guesses"]
    status = label_status(options(tmp_path, model_name_or_path=run))
    assert (status.entities is not None) == bool(batch["check"])
    assert next_batch(options(tmp_path, model_name_or_path=run, rows=10, format=form)) != path
