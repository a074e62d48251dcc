"""Where each word of a segment lies in its phonemes, and so in its audio. Pure.

espeak phonemises a whole clause: "of the" becomes one phoneme word, "$12.50" becomes five, so the
n-th word of the text is not the n-th of the phonemes. Plain words whose number agrees are mapped one
to one; otherwise the pronunciations of the single words are matched against the clause, and what
does not match is spread in proportion.
"""

import re
from bisect import bisect_left
from collections.abc import Callable, Sequence
from difflib import SequenceMatcher
from typing import Final

Range = tuple[int, int]
"""Phonemes [begin, end) of a clause."""

PUNCTUATION: Final = frozenset(".,;:!?…\"'()-–—¿¡«»“”")
_SILENT: Final = PUNCTUATION | {" "}
_STRESS: Final = frozenset("ˈˌː")
_PLAIN_WORD: Final = re.compile(r"[\"'(“‘]*[^\W\d_]+(?:['’-][^\W\d_]+)*[.,;:!?…\"')”’—–-]*")


def is_silent(phonemes: Sequence[str]) -> bool:
    """Tell whether there is nothing to say: no phoneme but punctuation and stress marks."""
    return all(phoneme in _SILENT or phoneme in _STRESS for phoneme in phonemes)


def locate_words(words: Sequence[str], phonemes: Sequence[str], alone: Callable[[str], Sequence[str]]) -> list[Range]:
    """Return the range of `phonemes` that each word is heard in: in order, not overlapping, one a word.

    `alone` gives the phonemes of a word said alone. A word that is not heard has an empty range.
    """
    groups = _groups(phonemes)
    if len(groups) == len(words) and all(_PLAIN_WORD.fullmatch(word) for word in words):
        return groups
    return _matched([alone(word) for word in words], phonemes)


def _groups(phonemes: Sequence[str]) -> list[Range]:
    """Return the runs between spaces that sound, without the punctuation at their ends."""
    groups, begin = [], 0
    for index in range(len(phonemes) + 1):
        if index < len(phonemes) and phonemes[index] != " ":
            continue
        low, high = begin, index
        while low < high and phonemes[low] in _SILENT:
            low += 1
        while low < high and phonemes[high - 1] in _SILENT:
            high -= 1
        if low < high and not is_silent(phonemes[low:high]):
            groups.append((low, high))
        begin = index + 1
    return groups


def _matched(words: Sequence[Sequence[str]], phonemes: Sequence[str]) -> list[Range]:
    """Return the ranges of words found by matching their own phonemes against the clause's."""
    sounding = [index for index, phoneme in enumerate(phonemes) if not is_silent([phoneme])]
    heard = [phonemes[index] for index in sounding]
    own = [[phoneme for phoneme in word if not is_silent([phoneme])] for word in words]
    spelled = [phoneme for word in own for phoneme in word]
    anchors = _anchors(spelled, heard)
    ranges, position, begin = [], 0, 0
    for word in own:
        position += len(word)
        end = max(begin, _between(anchors, position))
        if end > begin:
            ranges.append((_with_stress(phonemes, sounding[begin]), sounding[end - 1] + 1))
        else:
            edge = ranges[-1][1] if ranges else 0
            ranges.append((edge, edge))
        begin = end
    return ranges


def _with_stress(phonemes: Sequence[str], index: int) -> int:
    """Return where the phoneme at `index` begins with the stress marks before it."""
    while index > 0 and phonemes[index - 1] in "ˈˌ":
        index -= 1
    return index


def _anchors(spelled: Sequence[str], heard: Sequence[str]) -> list[tuple[int, int]]:
    """Return positions that correspond, rising in both, from (0, 0) to the two ends."""
    anchors = [(0, 0)]
    for block in SequenceMatcher(None, spelled, heard, autojunk=False).get_matching_blocks():
        if block.size > 1:
            anchors += [(block.a, block.b), (block.a + block.size, block.b + block.size)]
    return [*anchors, (len(spelled), len(heard))]


def _between(anchors: Sequence[tuple[int, int]], position: int) -> int:
    """Return the heard position of a spelled one, in proportion between its neighbouring anchors."""
    right = max(1, bisect_left(anchors, (position, 0)))
    right = min(right, len(anchors) - 1)
    (a, b), (c, d) = anchors[right - 1], anchors[right]
    return d if c == a else round(b + (position - a) * (d - b) / (c - a))
