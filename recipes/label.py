"""Say which rows to label next, take in what comes back, and forecast what further labels will buy.

    python recipes/label.py next --text_file raw.csv --labels_file labels.yaml --rows 50
    python recipes/label.py merge --labelled_file back.csv
    nlp-transfer label status

Files in, files out: `next` picks the rows that teach most and writes them, with the labels that it guesses, as CSV or
for Label Studio, doccano or Prodigy (--format). `merge` takes what comes back, in any form, and lists the rows that do
not fit. `status` prints a learning curve and how many more rows a point will cost, and writes the labelled rows for
classify. What it knows is kept in one folder (--folder), which survives a kill at any instant; a tenth of the rows is
drawn at random and only ever checks the score.
"""

import logging
import sys

import nlp_transfer as nt

log = logging.getLogger("nlp_transfer.label")

ACTIONS = ("next", "merge", "status")


def main() -> None:
    """Do the action, which comes before the options."""
    action, *argv = sys.argv[1:] or [""]
    if {"-h", "--help"} & set(sys.argv[1:]):
        nt.parse([nt.LabellingOptions], __doc__, argv=["--help"])
    if action not in ACTIONS:
        raise nt.OptionError(f"the action comes first, one of {', '.join(ACTIONS)}: label next --text_file raw.csv.")
    (options,) = nt.parse([nt.LabellingOptions], __doc__, argv=argv)

    if action == "next":
        nt.next_batch(options)
    elif action == "merge":
        nt.merge_file(options)
    else:
        print(nt.status_table(nt.label_status(options)))


if __name__ == "__main__":
    nt.run_recipe(main)
