"""Serve trained models over HTTP, and on a page to try them in a browser.

    python recipes/serve.py runs/classify
    nlp-transfer serve runs/classify runs/ner --port 8000

A run's folder or an exported one; several are served side by side. POST /predict takes {"text": "..."} or {"texts":
[...]}, and "model" where there are several; GET / is the page, /docs the list of paths, /model tells labels and scores,
/metrics counts for Prometheus, /health and /ready are for who watches over the server. Texts of many requests are
predicted together. SIGTERM or Ctrl-C finishes what is in flight. Needs pip install "nlp-transfer[serve]".
"""

import itertools
import sys

import nlp_transfer as nt


def main() -> None:
    """Read the folders, which come before the options; serve until a signal comes."""
    runs = list(itertools.takewhile(lambda part: not part.startswith("-"), sys.argv[1:]))
    if not runs and len(sys.argv) > 1 and not {"-h", "--help"} & set(sys.argv):
        raise nt.OptionError("the folders of runs come first, then the options: serve RUN --port 8000.")
    (options,) = nt.parse([nt.ServingOptions], __doc__, argv=sys.argv[1 + len(runs) :])
    nt.serve(runs, options)


if __name__ == "__main__":
    nt.run_recipe(main)
