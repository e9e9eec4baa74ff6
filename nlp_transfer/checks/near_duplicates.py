"""Near duplicates within a split and between splits.

Candidates come from MinHash signatures in a locality-sensitive index (Broder 1997, "On the resemblance and containment
of documents"; Indyk and Motwani 1998, "Approximate nearest neighbors"); each is then compared word by word, so that a
pair is reported only where it is one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from nlp_transfer.checks.checked_rows import Part, plain
from nlp_transfer.checks.finding import Finding, share, some
from nlp_transfer.data.row_store import counted

# Han and kana signs are words of their own: there are no blanks between them to go by.
_WORD = re.compile(
    r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]|[^\W\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]+"
)

# A pair of resemblance s becomes a candidate with probability 1 - (1 - s^4)^16: 0.99 at 0.7, 0.12 at 0.3.
_BANDS, _VALUES_A_BAND = 16, 4
_COMPARED = 8  # candidates of a text that are looked at, the likeliest first
_MARGIN = 0.25  # an estimate from 64 values is off by 0.06, one standard error; few are off by four


class Pair(NamedTuple):
    """Two texts by their number, the later first, and the Jaccard similarity of their shingles."""

    later: int
    earlier: int
    resemblance: float


def near_findings(parts: Sequence[Part], threshold: float) -> Iterator[Finding]:
    """Rows of validation or test nearly in train, and rows nearly the same in one split; exact copies left out."""
    starts = np.cumsum([0, *map(len, parts)])
    owners = np.repeat(np.arange(len(parts)), np.diff(starts))
    keys = np.concatenate([part.keys for part in parts])
    first = np.sort(np.unique(keys, return_index=True)[1])
    is_first = np.zeros(len(keys), dtype=bool)
    is_first[first] = True
    texts = (text for part in parts for text in part.texts())
    distinct = [text for text, is_new in zip(texts, is_first, strict=True) if is_new]
    pairs_of: dict[tuple[int, int], list[Pair]] = {}
    for pair in near_pairs(distinct, threshold, owners[first].tolist()):
        later, earlier = int(first[pair.later]), int(first[pair.earlier])
        pairs_of.setdefault((owners[later], owners[earlier]), []).append(Pair(later, earlier, pair.resemblance))
    for (one, other), pairs in sorted(pairs_of.items()):
        part, earlier_part = parts[one], parts[other]
        rows = np.array([pair.later - starts[one] for pair in pairs])
        count = f"{share(len(rows), len(part))} {part.name} rows are nearly the same as a row "
        yield Finding(
            "note" if one == other else "warning",
            "near_duplicate" if one == other else "near_leak",
            count + (f"before them (Jaccard similarity {threshold:g} or more)." if one == other
                    else f"in {earlier_part.name} (Jaccard similarity {threshold:g} or more): they inflate scores."),
            f"Look at some, and take those that add nothing new out of {part.rows.source}.",
            part.places(rows),
            some(
                part.example(pair.later - starts[one], f"{pair.resemblance:.0%} as {earlier_part.place(at)}: "
                             f"{' '.join(earlier_part.text(at).split())[:200]}")
                for pair in pairs
                for at in [pair.earlier - int(starts[other])]
            ),
            earlier_part.name,
        )  # fmt: skip


def near_pairs(texts: Sequence[str], threshold: float = 0.7, owners: Sequence[int] | None = None) -> Iterator[Pair]:
    """For each text and each owner (split) of earlier ones, the likest earlier text whose resemblance is enough.

    The resemblance is Jaccard's, of the sets of words and pairs of neighbouring words: one word changed among ten
    leaves 0.7. A text that is near three others of its owner is not indexed, since its like are found
    through those: the time stays linear where thousands are nearly the same.
    """
    from datasketch import MinHash, MinHashLSH  # an optional package (extra `check`)

    owners = [0] * len(texts) if owners is None else owners
    shingles = _Shingles(texts)
    index = MinHashLSH(num_perm=_BANDS * _VALUES_A_BAND, params=(_BANDS, _VALUES_A_BAND))
    sketches = MinHash.generator(shingles, num_perm=_BANDS * _VALUES_A_BAND, hashfunc=_itself)
    signatures = np.zeros((len(texts), _BANDS * _VALUES_A_BAND), np.uint32)
    for number, sketch in enumerate(counted("near duplicates", len(texts), sketches)):
        if not len(shingles[number]):  # emoji alone: nothing to compare
            continue
        signatures[number] = sketch.hashvalues
        candidates = np.array(index.query(sketch), dtype=np.int64)
        estimates = (signatures[candidates] == signatures[number]).mean(axis=1)
        likely = np.flatnonzero(estimates >= threshold - _MARGIN)
        ranked = candidates[likely[np.lexsort((candidates[likely], -estimates[likely]))]][:_COMPARED]
        near = [(shingles.resemblance(number, other), -int(other)) for other in ranked]
        near = sorted((pair for pair in near if pair[0] >= threshold), reverse=True)
        best: dict[int, Pair] = {}
        for resemblance, other in near:
            best.setdefault(owners[-other], Pair(number, -other, resemblance))
        yield from best.values()
        if sum(owners[-other] == owners[number] for _, other in near) < 3:
            index.insert(number, sketch, check_duplication=False)


class _Shingles:
    """The words and pairs of neighbouring words of each text as sorted numbers of 32 bits, each once."""

    def __init__(self, texts: Sequence[str]) -> None:
        ids: dict[str, int] = {}
        words = [[ids.setdefault(word, len(ids)) for word in _WORD.findall(plain(text))] for text in texts]
        lengths = np.array([len(row) for row in words], np.int64)
        flat = np.fromiter((word for row in words for word in row), np.uint64, int(lengths.sum()))
        row = np.repeat(np.arange(len(texts), dtype=np.uint64), lengths)
        is_pair = row[1:] == row[:-1]
        both = (flat[:-1] + np.uint64(1)) * np.uint64(0x9E3779B1) + flat[1:]
        alone = _mixed(flat) | row << np.uint64(32)
        paired = (_mixed(both) | row[1:] << np.uint64(32))[is_pair] if len(flat) else alone
        keys = np.sort(np.concatenate([alone, paired]))  # np.unique, but for the hash table that it would fill first
        keys = keys[np.diff(keys, prepend=~keys[:1]) != 0]
        self._hashes = (keys & np.uint64(0xFFFFFFFF)).astype(np.uint32)
        self._starts = np.searchsorted(keys >> np.uint64(32), np.arange(len(texts) + 1, dtype=np.uint64))

    def __len__(self) -> int:
        return len(self._starts) - 1

    def __getitem__(self, number: int) -> np.ndarray:
        if not 0 <= number < len(self):
            raise IndexError(number)
        return self._hashes[self._starts[number] : self._starts[number + 1]]

    def resemblance(self, one: int, other: int) -> float:
        """The Jaccard similarity of two texts."""
        shared = len(np.intersect1d(self[one], self[other], assume_unique=True))
        return shared / (len(self[one]) + len(self[other]) - shared)


def _mixed(numbers: np.ndarray) -> np.ndarray:
    """Numbers spread over 32 bits (the finalizer of splitmix64; Steele et al. 2014)."""
    mixed = (numbers ^ numbers >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ mixed >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
    return (mixed ^ mixed >> np.uint64(31)) & np.uint64(0xFFFFFFFF)


def _itself(shingle: int) -> int:
    return shingle
