"""The labels of a run without labelled rows, and the texts that tell them apart."""

from __future__ import annotations

from nlp_transfer.config import ZeroShotOptions
from nlp_transfer.errors import OptionError
from nlp_transfer.few_labels.label_texts import LabelTexts, label_texts, read_label_texts


def described_labels(options: ZeroShotOptions) -> LabelTexts:
    """The labels that the options name, with their descriptions, or with their names in words where there are none.

    Raises OptionError for a file that cannot be read, fewer than two labels, and labels with the same words.
    """
    if options.labels_file:
        texts: LabelTexts = read_label_texts(options.labels_file)
        source = options.labels_file
    else:
        texts, source = label_texts(options.label_names), "--label_names"
    if len(texts) < 2:
        raise OptionError(f"{source} names one label, '{next(iter(texts))}'; name two or more to choose from.")
    owners: dict[str, str] = {}
    for name, several in texts.items():
        for text in several:
            owner = owners.setdefault(text.casefold(), name)
            if owner != name:
                raise OptionError(
                    f"{source}: the labels '{owner}' and '{name}' are both '{text}' in words, which tells them "
                    "apart in nothing; describe them in a --labels_file."
                )
    return texts
