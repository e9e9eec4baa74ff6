"""Does a saved model still say what it said when it was trained?

    python recipes/verify.py runs/mine

Opens the model in a fresh process with transformers alone (PEFT for an adapter), here and on the versions that are
installed here, and compares its logits with those that the run kept. Exits with status 2 where they differ.
"""

import sys

import nlp_transfer as nt


def main() -> None:
    """One model after another."""
    if len(sys.argv) < 2 or sys.argv[1].startswith("-"):
        print(__doc__)
        if sys.argv[1:] in (["-h"], ["--help"]):
            return
        raise nt.OptionError("give the folder of a run, as in: python recipes/verify.py runs/classify")
    for folder in sys.argv[1:]:
        print(f"{folder}: {nt.verify_run(folder)}")


if __name__ == "__main__":
    nt.run_recipe(main)
