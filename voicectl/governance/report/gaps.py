"""Group questions that the agent could not answer, by the words they share."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

ALIKE: Final = 0.34
"""Share of common words (Jaccard) from which two questions are one: two of three, after what says nothing."""
MAX_QUESTIONS: Final = 2_000
_SAYS_NOTHING: Final = frozenset(
    (  # noqa: SIM905  # a list of seventy quoted words is not easier to read
        "a about am an and any are at be can could do does for from get give go has have hello hi how i if im in is it "
        "its just know like me my need no of oh ok okay on or please so tell that the there they this to uh um us want "
        "was we what when where which who why will with would yes you your yours"
    ).split()
)
_WORD: Final = re.compile(r"[^\W_]+(?:'[^\W_]+)?")
_ENDINGS: Final = ("ies", "ing", "es", "s")


@dataclass(frozen=True, slots=True)
class Question:
    """A question in a call."""

    call_id: str
    text: str


@dataclass(frozen=True, slots=True)
class KnowledgeGap:
    """Questions about the same; `example` is the one that shares most words with the others."""

    example: str
    count: int
    call_ids: tuple[str, ...]


def grouped(questions: Sequence[Question], *, most: int) -> tuple[KnowledgeGap, ...]:
    """Return at most `most` groups, the largest first. The order of questions does not change them."""
    words = {question: _words(question.text) for question in questions[:MAX_QUESTIONS]}
    clusters: list[tuple[Counter[str], list[Question]]] = []
    for question in sorted(words, key=lambda one: (-len(words[one]), one.text, one.call_id)):
        own = words[question]
        nearest = max(clusters, key=lambda cluster: _alike(own, cluster), default=None)
        if nearest is not None and _alike(own, nearest) >= ALIKE:
            nearest[0].update(own)
            nearest[1].append(question)
        else:
            clusters.append((Counter(own), [question]))
    found = [_gap(common, members, words) for common, members in clusters]
    return tuple(sorted(found, key=lambda gap: (-gap.count, gap.example))[:most])


def _gap(common: Counter[str], members: list[Question], words: dict[Question, frozenset[str]]) -> KnowledgeGap:
    def typical(question: Question) -> tuple[float, str]:
        own = words[question]
        return (-sum(common[word] for word in own) / max(1, len(own)), question.text)

    call_ids = tuple(dict.fromkeys(question.call_id for question in sorted(members, key=lambda one: one.call_id)))
    return KnowledgeGap(min(members, key=typical).text, len(members), call_ids)


def _alike(own: frozenset[str], cluster: tuple[Counter[str], list[Question]]) -> float:
    """Return the share of words in common with what most members of a cluster say."""
    common, members = cluster
    core = {word for word, count in common.items() if count * 2 > len(members)} or set(common)
    both = own | core
    return len(own & core) / len(both) if both else 1.0


def _words(text: str) -> frozenset[str]:
    found = (_stem(word) for word in _WORD.findall(text.lower().replace("’", "'")))
    return frozenset(word for word in found if word not in _SAYS_NOTHING)


def _stem(word: str) -> str:
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return word.removesuffix(ending)
    return word
