"""Let a trained model predict every row of a file, of any size.

    accelerate launch recipes/predict.py --model_name_or_path runs/mine --input_file in.csv --output_file out.jsonl

A run that was stopped goes on where it stopped when it is started again. A line of the output has the number of the row
(and its --id_column_name), the label and its probability; of a tagger the entities with their places in the text, where
words given as a list count as joined by blanks, and a tag for each word. Probabilities are calibrated where the run had
validation rows enough. With --abstain_below 0.8 a row that is less sure has no label, but "abstained": true and a best
guess, for a person to look at.
"""

import nlp_transfer as nt


def main() -> None:
    """Read, predict, write: one straight path."""
    (options,) = nt.parse([nt.PredictionOptions], __doc__)
    nt.predict_file(options)


if __name__ == "__main__":
    nt.run_recipe(main)
