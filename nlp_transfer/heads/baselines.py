"""Baselines without a pretrained network, which the transfer has to beat on the same split."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from datasets import Dataset

from nlp_transfer.data.row_store import rows_of, values

BASELINE_NAMES = {
    "majority": "majority label",
    "tfidf_svm": "TF-IDF + linear SVM",
    "mean": "mean of train",
    "tfidf_ridge": "TF-IDF + ridge",
    "gazetteer": "gazetteer of train",
    "chance": "chance",
    "label_names": "nearest label name",
}
"""Baseline -> its name in tables; by default its own."""

_Form = tuple[str, ...]

# scheme -> the letters of a span's first, middle and last word, and of a span of one word
_LETTERS = {
    "IOB1": ("I", "I", "I", "I"),
    "IOB2": ("B", "I", "I", "B"),
    "BIOES": ("B", "I", "E", "S"),
    "BILOU": ("B", "I", "L", "U"),
}


def baseline_name(name: str) -> str:
    """The name of a baseline in tables."""
    return BASELINE_NAMES.get(name, name)


def texts_of(rows: Dataset) -> list[str]:
    """The texts of rows; those of a pair as one text."""
    if "text_pair" not in rows.column_names:
        return list(values(rows, "text"))
    return [f"{text}\n{second}" for text, second in rows_of(rows, "text", "text_pair")]


def classification_baselines(
    train_texts: Sequence[str], train_labels: Sequence[str], test_texts: Sequence[str], seed: int = 0
) -> dict[str, list[str]]:
    """Labels of `test_texts` by the most frequent label of train, and by TF-IDF with a linear SVM.

    `majority`: ties go to the label that occurs first. `tfidf_svm`: unigrams and bigrams of words and single other
    characters (punctuation, emoji), weighted by TF-IDF with sublinear counts, and a linear SVM (Joachims 1998; Fan et
    al. 2008) whose C is the best of 0.1, 1 and 10 in threefold cross-validation on train, or 1 if some label has fewer
    than three rows. If train has one label only, or no words, it is the majority too.
    Raises ValueError if train is empty or holds unequal numbers of texts and labels.

    >>> classification_baselines(["good", "fine", "bad"], ["yes", "yes", "no"], ["bad"])
    {'majority': ['yes'], 'tfidf_svm': ['no']}
    """
    train_texts, train_labels = _paired(train_texts, train_labels)
    majority = [Counter(train_labels).most_common(1)[0][0]] * len(test_texts)
    can_learn = len(set(train_labels)) > 1 and any(text.strip() for text in train_texts)
    svm = _tfidf_svm(train_texts, train_labels, list(test_texts), seed) if can_learn and majority else majority
    return {"majority": majority, "tfidf_svm": list(svm)}


def multi_label_baselines(
    train_texts: Sequence[str], train_labels: Sequence[Sequence[str]], test_texts: Sequence[str], labels: Sequence[str],
    seed: int = 0,
) -> dict[str, tuple[list[list[str]], np.ndarray]]:  # fmt: skip
    """Sets of labels of `test_texts`, and a score of each of `labels`, `(rows, labels)`, which ranks them.

    `majority`: the most frequent set of train, labels ranked by their row counts. `tfidf_svm`: TF-IDF as in
    `classification_baselines`, and a linear SVM with C = 1 for each label. Raises as `classification_baselines` does.

    >>> multi_label_baselines(["good"] * 3, [["a"], ["a"], []], ["bad"], ["a", "b"])["majority"][0]
    [['a']]
    """
    train_texts, rows = _paired(train_texts, train_labels)
    commonest = Counter(frozenset(row) for row in rows).most_common(1)[0][0]
    frequency = np.array([sum(name in row for row in rows) for name in labels], dtype=float)
    ranking = np.tile(frequency, (len(test_texts), 1))
    majority = ([[name for name in labels if name in commonest] for _ in test_texts], ranking)
    if not any(text.strip() for text in train_texts) or not test_texts:
        return {"majority": majority, "tfidf_svm": majority}
    from sklearn.svm import LinearSVC

    words = _tfidf()
    train, test = words.fit_transform(train_texts), words.transform(list(test_texts))
    decisions = np.empty((len(test_texts), len(labels)))
    for i, name in enumerate(labels):
        positive = [name in row for row in rows]
        if len(set(positive)) == 1:
            decisions[:, i] = 1.0 if positive[0] else -1.0
        else:
            decisions[:, i] = LinearSVC(C=1, random_state=seed).fit(train, positive).decision_function(test)
    sets = [[name for name, value in zip(labels, row, strict=True) if value > 0] for row in decisions]
    return {"majority": majority, "tfidf_svm": (sets, decisions)}


def regression_baselines(
    train_texts: Sequence[str], train_numbers: Sequence[float], test_texts: Sequence[str], seed: int = 0
) -> dict[str, list[float]]:
    """Numbers of `test_texts`: the mean of train, and TF-IDF with ridge regression.

    `tfidf_ridge`: TF-IDF as in `classification_baselines`, and ridge regression (Hoerl and Kennard 1970), whose alpha
    is the best of 0.1, 1 and 10 in threefold cross-validation. Raises as `classification_baselines` does.

    >>> regression_baselines(["good", "bad"], [1.0, 3.0], ["fine"])["mean"]
    [2.0]
    """
    train_texts, numbers = _paired(train_texts, train_numbers)
    mean = [float(np.mean(numbers))] * len(test_texts)
    if not any(text.strip() for text in train_texts) or not mean:
        return {"mean": mean, "tfidf_ridge": mean}
    from sklearn.linear_model import Ridge
    from sklearn.model_selection import GridSearchCV, KFold

    words = _tfidf()
    ridge = Ridge(alpha=1.0, solver="lsqr")
    if len(numbers) >= 3:
        ridge = GridSearchCV(ridge, {"alpha": [0.1, 1.0, 10.0]}, cv=KFold(3, shuffle=True, random_state=seed))
    ridge.fit(words.fit_transform(train_texts), numbers)
    return {"mean": mean, "tfidf_ridge": [float(number) for number in ridge.predict(words.transform(list(test_texts)))]}


def _paired(texts: Sequence[str], labels: Sequence[Any]) -> tuple[list[str], list[Any]]:
    """Both as lists, as a column of a Dataset is decoded at every pass. ValueError unless equally many, and any."""
    text_list, label_list = list(texts), list(labels)
    if len(text_list) != len(label_list):
        raise ValueError(f"{len(text_list)} texts to train on but {len(label_list)} labels")
    if not label_list:
        raise ValueError("there are no rows to train on")
    return text_list, label_list


def _tfidf() -> Any:
    from sklearn.feature_extraction.text import TfidfVectorizer  # takes a second, and baselines alone need it

    return TfidfVectorizer(token_pattern=r"\w+|[^\w\s]", ngram_range=(1, 2), sublinear_tf=True)


def _tfidf_svm(
    train_texts: Sequence[str], train_labels: Sequence[str], test_texts: Sequence[str], seed: int
) -> list[str]:
    from sklearn.model_selection import GridSearchCV, StratifiedKFold  # takes a second
    from sklearn.svm import LinearSVC

    words = _tfidf()
    svm = LinearSVC(C=1, random_state=seed)
    if min(Counter(train_labels).values()) >= 3:
        folds = StratifiedKFold(3, shuffle=True, random_state=seed)
        svm = GridSearchCV(svm, {"C": [0.1, 1, 10]}, cv=folds)
    svm.fit(words.fit_transform(train_texts), train_labels)
    return [str(label) for label in svm.predict(words.transform(test_texts))]


def gazetteer_baseline(
    train_words: Sequence[Sequence[str]],
    train_tags: Sequence[Sequence[str]],
    test_words: Sequence[Sequence[str]],
    scheme: str = "IOB2",
) -> list[list[str]]:
    """Tags of `test_words`, in `scheme`, by looking up the entities of train, the longest first, from left to right.

    `train_tags` are IOB2, whatever `scheme` is. The words of an entity (case-sensitive) are in the gazetteer if they
    are an entity in at least half of their occurrences in train, without those inside a longer entity, so that the
    month May is not taken for the name; they get their most frequent type, ties go to the one that occurs first.
    Raises ValueError if a sentence of train holds unequal numbers of words and tags, or the scheme is unknown.

    >>> gazetteer_baseline([["in", "Oslo"]], [["O", "B-LOC"]], [["Oslo", "is", "cold"]])
    [['B-LOC', 'O', 'O']]
    """
    if scheme not in _LETTERS:
        raise ValueError(f"unknown tag scheme {scheme!r}; known are {', '.join(_LETTERS)}")
    gazetteer = _gazetteer(list(train_words), list(train_tags))
    lengths = _lengths(gazetteer)
    return [_tags(words, gazetteer, lengths, scheme) for words in test_words]


def _gazetteer(train_words: Sequence[Sequence[str]], train_tags: Sequence[Sequence[str]]) -> dict[_Form, str]:
    """The words of entities -> their type."""
    if len(train_words) != len(train_tags):
        raise ValueError(f"{len(train_words)} sentences to train on but {len(train_tags)} rows of tags")
    types: dict[_Form, Counter[str]] = defaultdict(Counter)
    for row, (words, tags) in enumerate(zip(train_words, train_tags, strict=True)):
        if len(words) != len(tags):
            raise ValueError(f"sentence {row} of train has {len(words)} words but {len(tags)} tags")
        for start, end, kind in _spans(tags):
            types[tuple(words[start:end])][kind] += 1
    others = _other_uses(train_words, train_tags, types)
    return {form: kinds.most_common(1)[0][0] for form, kinds in types.items() if kinds.total() >= others[form]}


def _other_uses(
    train_words: Sequence[Sequence[str]], train_tags: Sequence[Sequence[str]], forms: Mapping[_Form, Any]
) -> Counter[_Form]:
    """How often each form occurs in train outside of entities."""
    others: Counter[_Form] = Counter()
    lengths = _lengths(forms)
    for words, tags in zip(train_words, train_tags, strict=True):
        entity_of: list[int | None] = [None] * len(words)
        for number, (start, end, _) in enumerate(_spans(tags)):
            entity_of[start:end] = [number] * (end - start)
        for i in range(len(words)):
            for form in _at(words, i, forms, lengths):
                if entity_of[i] is None or entity_of[i] != entity_of[i + len(form) - 1]:
                    others[form] += 1
    return others


def _spans(tags: Sequence[str]) -> Iterator[tuple[int, int, str]]:
    """Start, end (excluded) and type of the spans in IOB2 tags; an I- tag that continues no span opens one."""
    start = 0
    for i, tag in enumerate(tags):
        if not tag.startswith("I-") or i == 0 or tags[i - 1][2:] != tag[2:]:
            start = i
        ends = i + 1 == len(tags) or tags[i + 1] != f"I-{tag[2:]}"
        if tag != "O" and ends:
            yield start, i + 1, tag[2:]


def _lengths(forms: Iterable[_Form]) -> dict[str, list[int]]:
    """The first word of forms -> their numbers of words, longest first, for a fast look-up."""
    by_word = defaultdict(set)
    for form in forms:
        by_word[form[0]].add(len(form))
    return {word: sorted(lengths, reverse=True) for word, lengths in by_word.items()}


def _at(
    words: Sequence[str], start: int, forms: Mapping[_Form, Any], lengths: Mapping[str, list[int]]
) -> Iterator[_Form]:
    """The forms that begin at word `start`, longest first."""
    for length in lengths.get(words[start], ()):
        form = tuple(words[start : start + length])
        if len(form) == length and form in forms:
            yield form


def _tags(
    words: Sequence[str], gazetteer: Mapping[_Form, str], lengths: Mapping[str, list[int]], scheme: str
) -> list[str]:
    first, middle, last, single = _LETTERS[scheme]
    tags: list[str] = []
    while len(tags) < len(words):
        form = next(_at(words, len(tags), gazetteer, lengths), None)
        if form is None:
            tags.append("O")
            continue
        kind = gazetteer[form]
        letters = single if len(form) == 1 else first + middle * (len(form) - 2) + last
        if scheme == "IOB1" and tags and tags[-1][2:] == kind:  # IOB1 keeps B- for the second of two neighbours
            letters = "B" + letters[1:]
        tags += [f"{letter}-{kind}" for letter in letters]
    return tags
