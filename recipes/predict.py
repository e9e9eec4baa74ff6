"""Predict every row of a file, of any size, with a trained model.

    accelerate launch recipes/predict.py --model_name_or_path runs/mine --input_file in.csv --output_file out.jsonl
    nlp-transfer predict --model_name_or_path runs/mine --input_file in.csv --output_file out.jsonl

After an interruption the same command resumes where it stopped. A line of the output has the number of the row (and its
--id_column_name), the label and its probability; of a NER model the entities with their character offsets (in the words
joined by blanks where the row is a list of words), and a tag for each word. Probabilities are calibrated where the run
had enough validation rows. With --abstain_below 0.8 a row with a lower probability gets no label, but
"abstained": true and a best guess, for a person to look at.
"""

import nlp_transfer as nt


def main() -> None:
    """Read rows, predict them, write: in the library, as all three are one stream."""
    (options,) = nt.parse([nt.PredictionOptions], __doc__)
    nt.launch_processes(options.processes)
    nt.predict_file(options)


if __name__ == "__main__":
    nt.run_recipe(main)
