"""Judge a golden call: a known question, spoken to a release, must be understood and answered by intelligible speech.

Pure. A release that answers HTTP 200 may still understand nothing: one directive of a unit is enough to make
speech recognition silently wrong. So what counts is what was heard, what was said, and when.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from .faults import Damaged

MAX_BYTES: Final = 100_000
DEFAULT_MAX_WER: Final = 0.35
DEFAULT_MAX_V2V_MS: Final = 8000.0
DEFAULT_MAX_REPLY_WER: Final = 0.5
DEFAULT_MIN_REPLY_RMS: Final = 0.003
_NOT_A_WORD: Final = re.compile(r"[^\w\s]|_")
_JOINING: Final = re.compile(r"['’]")


@dataclass(frozen=True, slots=True)
class Expectation:
    """What a golden call must fulfil. Error rates are edits per word; the level is a share of full scale."""

    transcript: str
    max_wer: float
    max_v2v_ms: float
    max_reply_wer: float = DEFAULT_MAX_REPLY_WER
    min_reply_rms: float = DEFAULT_MIN_REPLY_RMS


@dataclass(frozen=True, slots=True)
class Observation:
    """What came of a golden call. `reply_heard` is what the release's own ears make of its voice."""

    heard: str
    reply: str
    v2v_ms: float | None
    reply_rms: float
    reply_heard: str


@dataclass(frozen=True, slots=True)
class Judgement:
    """The figures of a golden call and all that is wrong with it. Holds no word of what was said."""

    wer: float
    reply_wer: float
    v2v_ms: float | None
    reply_rms: float
    problems: tuple[str, ...]

    def document(self) -> dict[str, Any]:
        """Return the figures as they are printed and written down."""
        return {
            "wer": round(self.wer, 3),
            "reply_wer": round(self.reply_wer, 3),
            "v2v_ms": self.v2v_ms,
            "reply_rms": round(self.reply_rms, 4),
            "problems": list(self.problems),
        }


def read_expectation(folder: Path, *, max_v2v_ms: float | None) -> Expectation:
    """Return what the golden call of a release must fulfil. Raises Damaged."""
    path = folder / "golden.json"
    try:
        with path.open("rb") as file:
            document = json.loads(file.read(MAX_BYTES))
        expected = Expectation(
            transcript=str(document["transcript"]),
            max_wer=_number(document, "max_wer", DEFAULT_MAX_WER),
            max_v2v_ms=max_v2v_ms or _number(document, "max_v2v_ms", DEFAULT_MAX_V2V_MS),
            max_reply_wer=_number(document, "max_reply_wer", DEFAULT_MAX_REPLY_WER),
            min_reply_rms=_number(document, "min_reply_rms", DEFAULT_MIN_REPLY_RMS),
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Damaged(f"{path}: {error}", hint="run the installation again with the bundle of this release") from error
    if not words(expected.transcript):
        raise Damaged(f"{path}: the transcript has no word")
    return expected


def judge(expected: Expectation, observed: Observation) -> Judgement:
    """Return whether a call was a good one, with every reason against it."""
    wer = word_error_rate(expected.transcript, observed.heard)
    reply_wer = word_error_rate(observed.reply, observed.reply_heard)
    return Judgement(
        wer=wer,
        reply_wer=reply_wer,
        v2v_ms=observed.v2v_ms,
        reply_rms=observed.reply_rms,
        problems=tuple(_problems(expected, observed, wer, reply_wer)),
    )


def _problems(expected: Expectation, observed: Observation, wer: float, reply_wer: float) -> list[str]:
    problems = []
    if wer > expected.max_wer:
        problems.append(f"the question was misheard: {wer:.0%} of its words are wrong, {expected.max_wer:.0%} may be")
    if not words(observed.reply) or observed.v2v_ms is None:
        return [*problems, "there was no answer"]
    if observed.v2v_ms > expected.max_v2v_ms:
        problems.append(f"the answer took {observed.v2v_ms:.0f} ms, {expected.max_v2v_ms:.0f} ms are allowed")
    if observed.reply_rms < expected.min_reply_rms:
        problems.append(f"the answer is silent: its level is {observed.reply_rms:.4f} of full scale")
    elif reply_wer > expected.max_reply_wer:
        problems.append(
            f"the voice does not say the answer: {reply_wer:.0%} of its words are wrong, "
            f"{expected.max_reply_wer:.0%} may be"
        )
    return problems


def word_error_rate(reference: str, heard: str) -> float:
    """Return edits per word of the reference: 0 is the same, 1 is nothing right; 1 too if there is no reference."""
    wanted, found = words(reference), words(heard)
    return min(1.0, _edits(wanted, found) / len(wanted)) if wanted else 1.0


def words(text: str) -> list[str]:
    """Return the words of a text without case and punctuation."""
    return _NOT_A_WORD.sub(" ", _JOINING.sub("", text.casefold())).split()


def _edits(wanted: Sequence[str], found: Sequence[str]) -> int:
    """Return the Levenshtein distance of two sequences."""
    row = list(range(len(found) + 1))
    for index, word in enumerate(wanted, start=1):
        diagonal, row[0] = row[0], index
        for column, other in enumerate(found, start=1):
            diagonal, row[column] = (
                row[column],
                min(diagonal + (word != other), row[column] + 1, row[column - 1] + 1),
            )
    return row[-1]


def _number(document: Mapping[str, Any], key: str, default: float) -> float:
    value = document.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
        raise ValueError(f"{key} is {value!r}")
    return float(value)
