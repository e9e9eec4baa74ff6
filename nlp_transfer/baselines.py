"""What must the transfer beat? Predictions that need no pretrained network, for the same split."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

_Form = tuple[str, ...]

# scheme -> the letters of a span's first, middle and last word, and of a span of one word
_LETTERS = {
    "IOB1": ("I", "I", "I", "I"),
    "IOB2": ("B", "I", "I", "B"),
    "BIOES": ("B", "I", "E", "S"),
    "BILOU": ("B", "I", "L", "U"),
}


def classification_baselines(
    train_texts: Sequence[str], train_labels: Sequence[str], test_texts: Sequence[str], seed: int = 0
) -> dict[str, list[str]]:
    """Labels of `test_texts` by the most frequent label of train, and by TF-IDF with a linear SVM.

    `majority`: ties go to the label seen first. `tfidf_svm`: words and single other marks (punctuation, emoji) and
    pairs of them, weighted by TF-IDF with sublinear counts, under a linear SVM (Joachims 1998; Fan et al. 2008) whose C
    is the best of 0.1, 1 and 10 in threefold cross-validation on train, or 1 where some label has fewer than three
    rows. Where train has one label only, or no words, it is the majority too.
    Raises ValueError if train is empty or holds unequal numbers of texts and labels.

    >>> classification_baselines(["good", "fine", "bad"], ["yes", "yes", "no"], ["bad"])
    {'majority': ['yes'], 'tfidf_svm': ['no']}
    """
    train_texts, train_labels = list(train_texts), list(train_labels)  # a column of a Dataset decodes at every pass
    if len(train_texts) != len(train_labels):
        raise ValueError(f"{len(train_texts)} texts to train on but {len(train_labels)} labels")
    if not train_labels:
        raise ValueError("there are no rows to train on")
    majority = [Counter(train_labels).most_common(1)[0][0]] * len(test_texts)
    can_learn = len(set(train_labels)) > 1 and any(text.strip() for text in train_texts)
    svm = _tfidf_svm(train_texts, train_labels, list(test_texts), seed) if can_learn and majority else majority
    return {"majority": majority, "tfidf_svm": list(svm)}


def _tfidf_svm(
    train_texts: Sequence[str], train_labels: Sequence[str], test_texts: Sequence[str], seed: int
) -> list[str]:
    # a second to import, which only those who ask for baselines spend
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.model_selection import GridSearchCV, StratifiedKFold
    from sklearn.svm import LinearSVC

    words = TfidfVectorizer(token_pattern=r"\w+|[^\w\s]", ngram_range=(1, 2), sublinear_tf=True)
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

    `train_tags` are IOB2, whatever `scheme` is. An entity's words (as written, case and all) are looked for if they are
    an entity in at least half of the places where they occur in train, not counting those inside a longer entity, so
    that the name May leaves the month alone; they get their most frequent type, ties to the first seen.
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
    """The words of an entity -> its type."""
    if len(train_words) != len(train_tags):
        raise ValueError(f"{len(train_words)} sentences to train on but {len(train_tags)} rows of tags")
    types: dict[_Form, Counter[str]] = defaultdict(Counter)
    for row, (words, tags) in enumerate(zip(train_words, train_tags, strict=True)):
        if len(words) != len(tags):
            raise ValueError(f"sentence {row} of train has {len(words)} words but {len(tags)} tags")
        for start, end, kind in _spans(tags):
            types[tuple(words[start:end])][kind] += 1
    strays = _strays(train_words, train_tags, types)
    return {form: kinds.most_common(1)[0][0] for form, kinds in types.items() if kinds.total() >= strays[form]}


def _strays(
    train_words: Sequence[Sequence[str]], train_tags: Sequence[Sequence[str]], forms: Mapping[_Form, Any]
) -> Counter[_Form]:
    """How often each form occurs in train where it is no entity, nor a part of one."""
    strays: Counter[_Form] = Counter()
    lengths = _lengths(forms)
    for words, tags in zip(train_words, train_tags, strict=True):
        entity_of: list[int | None] = [None] * len(words)
        for number, (start, end, _) in enumerate(_spans(tags)):
            entity_of[start:end] = [number] * (end - start)
        for i in range(len(words)):
            for form in _at(words, i, forms, lengths):
                if entity_of[i] is None or entity_of[i] != entity_of[i + len(form) - 1]:
                    strays[form] += 1
    return strays


def _spans(tags: Sequence[str]) -> Iterator[tuple[int, int, str]]:
    """Start, end (excluded) and type of the spans in IOB2 tags; an I- tag with nothing to go on with opens a span."""
    start = 0
    for i, tag in enumerate(tags):
        if not tag.startswith("I-") or i == 0 or tags[i - 1][2:] != tag[2:]:
            start = i
        ends = i + 1 == len(tags) or tags[i + 1] != f"I-{tag[2:]}"
        if tag != "O" and ends:
            yield start, i + 1, tag[2:]


def _lengths(forms: Iterable[_Form]) -> dict[str, list[int]]:
    """The first word of a form -> how many words such forms have, longest first: what keeps the look-up quick."""
    found = defaultdict(set)
    for form in forms:
        found[form[0]].add(len(form))
    return {word: sorted(lengths, reverse=True) for word, lengths in found.items()}


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
