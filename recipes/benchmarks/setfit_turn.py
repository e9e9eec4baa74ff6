"""One turn of SetFit with its defaults, for `few_shot.py`, run by the Python of an environment that has setfit.

    setfit-env/bin/python recipes/benchmarks/setfit_turn.py job.json

It prints one line of JSON: the labels, their probabilities for each test row, and the seconds from rows to a model.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path

from datasets import Dataset
from setfit import SetFitModel, Trainer, TrainingArguments


def main() -> None:
    """Train on the rows of the job, as SetFit's README does, and answer its test rows."""
    job = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    started = time.perf_counter()
    labels = sorted({row["label"] for row in job["train"]})
    model = SetFitModel.from_pretrained(job["encoder"], labels=labels)
    rows = Dataset.from_list([{"text": row["text"], "label": labels.index(row["label"])} for row in job["train"]])
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(output_dir=folder, seed=job["seed"], report_to="none", save_strategy="no")
        trainer = Trainer(model=model, args=arguments, train_dataset=rows)
        trainer.train()
    seconds = time.perf_counter() - started
    probabilities = model.predict_proba([row["text"] for row in job["test"]], as_numpy=True)
    print(json.dumps({"labels": labels, "probabilities": probabilities.tolist(), "seconds": seconds}))


if __name__ == "__main__":
    main()
