"""A trial has one result, whoever runs it, and leaves the model that it was given as it is."""

from __future__ import annotations

import torch
from accelerate.tracking import GeneralTracker

import nlp_transfer as nt
from nlp_transfer.data.splits import Splits
from nlp_transfer.experiments.candidates import Candidate
from nlp_transfer.experiments.trial import Trial, TrialSetup


def test_what_changes_a_result_changes_the_name():
    candidate = Candidate("lora", "an-encoder", "lora", (("lora_r", 4),))
    trials = [
        Trial(candidate),
        Trial(candidate, fraction=0.5),
        Trial(candidate, seed=1),
        Trial(candidate, settings=(("learning_rate", 1e-3),)),
        Trial(candidate, settings=(("learning_rate", 2e-3),)),
        Trial(Candidate("lora", "another-encoder", "lora", (("lora_r", 4),))),
        Trial(Candidate("lora", "an-encoder", "lora", (("lora_r", 8),))),
    ]
    assert len({trial.name for trial in trials}) == len(trials)
    shown_otherwise = Candidate("lora:4 on B", "an-encoder", "lora", (("lora_r", 4),))
    assert Trial(shown_otherwise).name == trials[0].name
    two = (("weight_decay", 0.1), ("learning_rate", 1e-3))
    assert Trial(candidate, settings=two).name == Trial(candidate, settings=two[::-1]).name


def test_the_same_trial_has_the_same_result_and_its_settings_count(checkpoint, review_splits, options):
    head = nt.text_head_for(review_splits, class_weights="balanced")
    setup = TrialSetup(head, nt.ModelOptions(), options, nt.CacheOptions())
    trial = Trial(Candidate("full", checkpoint(), "full"), fraction=0.5, seed=3, settings=(("num_train_epochs", 1),))
    first, second = (trial.train(review_splits, setup) for _ in range(2))
    assert first.predictions() == second.predictions()
    assert set(first.predictions()) == {"validation", "test"}
    assert (len(first.splits.train.data), first.result.steps, first.result.seed) == (32, 4, 3)
    assert first.model.head.class_weights == head.on_share(review_splits.train, first.splits.train).class_weights
    assert first.model.head is not head


def test_a_model_that_is_given_is_copied(checkpoint, review_splits, options):
    model = nt.TransferModel.load(checkpoint(), nt.text_head_for(review_splits))
    before = {name: weight.clone() for name, weight in model.network.named_parameters()}
    setup = TrialSetup(model.head, nt.ModelOptions(), options)
    learned, judged = review_splits.train, review_splits.test
    trained = Trial(Candidate("full", "", "full")).train(Splits(learned, None, None), setup, model=model)
    assert all(torch.equal(weight, before[name]) for name, weight in model.network.named_parameters())
    assert any(not torch.equal(weight, before[name]) for name, weight in trained.model.network.named_parameters())
    predictions = trained.model.predict(judged.data["text"][:], precision="no")
    right = [p.label == label for p, label in zip(predictions, judged.data["label"][:], strict=True)]
    assert trained.score(judged, "accuracy", "full") == sum(right) / len(right)


def test_a_tracker_is_made_of_the_model_and_gets_each_evaluation(checkpoint, review_splits, options):
    class Scores(GeneralTracker):
        name, requires_logging_directory = "scores", False

        def __init__(self, model):
            super().__init__()
            self.depth, self.scores = model.encoder.depth, []

        @property
        def tracker(self):
            return self

        def log(self, values, step=None, **_):
            self.scores += [value for name, value in values.items() if name == "validation_accuracy"]

    made = []
    setup = TrialSetup(nt.text_head_for(review_splits), nt.ModelOptions(), options)
    trial = Trial(Candidate("full", checkpoint(), "full"))
    trial.train(review_splits, setup, tracker=lambda model: made.append(Scores(model)) or made[0])
    assert (made[0].depth, len(made[0].scores)) == (2, 2)
