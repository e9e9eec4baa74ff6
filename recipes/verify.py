"""Verify that a saved model still gives the logits that it gave when it was trained.

    python recipes/verify.py runs/mine [--trust_remote_code]
    nlp-transfer verify runs/mine [--trust_remote_code]

Loads the model in a fresh process with transformers alone (PEFT for an adapter), on this machine and with the versions
installed on it, and compares its logits with the reference logits of the run. Exits with status 2 where they differ.
--trust_remote_code runs code that comes with the model.
"""

import sys

import nlp_transfer as nt


def main() -> None:
    """Verify one run after another."""
    if {"-h", "--help"} & set(sys.argv[1:]):
        print(__doc__)
        return
    folders = [word for word in sys.argv[1:] if word != "--trust_remote_code"]
    if unknown := [word for word in folders if word.startswith("-")]:
        raise nt.OptionError(f"unknown option {unknown[0]}; did you mean --trust_remote_code?")
    if not folders:
        raise nt.OptionError("name the folder of a run, as in: nlp-transfer verify runs/classify.")
    for folder in folders:
        print(f"{folder}: {nt.verify_run(folder, trust_remote_code='--trust_remote_code' in sys.argv)}")


if __name__ == "__main__":
    nt.run_recipe(main)
