"""Draw the report of a run again, or one page that sets several runs side by side.

    python recipes/report.py runs/classify
    python recipes/report.py runs/full runs/lora --output_file compared.html
    nlp-transfer report runs/full runs/lora --output_file compared.html

Every training run writes such a page, report.html. One run: it is drawn again from report.json in its folder. Several
runs of one task: their scores, costs and options in one page, with the difference of each to the first one, on the same
bootstrap samples, from their predictions.jsonl.
"""

import itertools
import logging
import sys

import nlp_transfer as nt

log = logging.getLogger("nlp_transfer.report")


def main() -> None:
    """Read the folders of the runs, which come before the options; draw the page."""
    runs = list(itertools.takewhile(lambda part: not part.startswith("-"), sys.argv[1:]))
    if not runs and len(sys.argv) > 1 and not {"-h", "--help"} & set(sys.argv):
        raise nt.OptionError("the folders of runs come first, then the options: report RUN --output_file FILE.")
    (options,) = nt.parse([nt.ReportOptions], __doc__, argv=sys.argv[1 + len(runs) :])
    log.info("%s is written.", nt.draw_reports(runs, options.output_file))


if __name__ == "__main__":
    nt.run_recipe(main)
