"""Export a trained model as a folder that predicts without torch, in the fastest form that answers as the run does.

    python recipes/export.py runs/classify
    python recipes/export.py runs/classify --validation_file texts_of_today.csv --budget 0.3
    nlp-transfer export runs/classify

The network is written as ONNX, in fp32 and in int8. Both answer the rows that the run has kept, or those of
--validation_file, and are compared with the run: what loses more than --budget points of the score, or gives more than
1% of the labels otherwise, is not exported. Layers that int8 harms stay in fp32. The speed of each form is measured
here, and the fastest one becomes model.onnx. The folder is opened with onnxruntime, tokenizers and NumPy alone:

    nlp_transfer.runtime.load("runs/classify/exported").predict(["Some text."])
"""

import logging
import sys

import nlp_transfer as nt

log = logging.getLogger("nlp_transfer.export")


def main() -> None:
    """Export one run, show what was measured, and add it to the run's report."""
    argv = sys.argv[1:]
    wants_help = bool({"-h", "--help"} & set(argv))
    if not wants_help and (not argv or argv[0].startswith("-")):
        raise nt.OptionError("the folder of a run comes first, then the options: export RUN --budget 0.3.")
    (options,) = nt.parse([nt.ExportOptions], __doc__, argv=argv if wants_help else argv[1:])
    run = argv[0]
    nt.require_export_packages()
    export = nt.export_run(run, options)
    print(nt.export_table(export))
    if nt.add_to_report(run, export):
        log.info("The table is in the run's report, too.")
    log.info("The export is in %s; model.onnx is %s.", export.folder, export.taken)


if __name__ == "__main__":
    nt.run_recipe(main)
