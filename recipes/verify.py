"""Does a saved model still say what it said when it was trained?

    python recipes/verify.py runs/mine [--trust_remote_code]

Opens the model in a fresh process with transformers alone (PEFT for an adapter), here and on the versions that are
installed here, and compares its logits with those that the run kept. Exits with status 2 where they differ.
--trust_remote_code runs code that comes with the model.
"""

import sys

import nlp_transfer as nt


def main() -> None:
    """One model after another."""
    folders = [word for word in sys.argv[1:] if word != "--trust_remote_code"]
    if not folders or any(word.startswith("-") for word in folders):
        print(__doc__)
        if sys.argv[1:] in (["-h"], ["--help"]):
            return
        raise nt.OptionError("give the folder of a run, as in: python recipes/verify.py runs/classify")
    for folder in folders:
        print(f"{folder}: {nt.verify_run(folder, trust_remote_code='--trust_remote_code' in sys.argv)}")


if __name__ == "__main__":
    nt.run_recipe(main)
