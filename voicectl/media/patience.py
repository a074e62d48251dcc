"""How long a pause must be to end a turn, from how complete the turn sounds and reads. Pure.

Neither decides alone: of 21 short recordings that end, three sound unfinished to the end; Whisper puts a
full stop behind almost everything, but hardly ever behind "I'd like to". Over 86 English recordings, at
the same delay, words and the caller's own earlier pauses spare one false end in four.
"""

import re
from enum import Enum
from typing import Final

from voicectl.core.sections.media import Endpointing

_LEARNED_FACTOR: Final = 2.0
_LEARNED_MARGIN_MS: Final = 100.0

_WORD: Final = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*|\d+")
_UNFINISHED_MARKS: Final = (",", ";", ":", "-", "–", "—", "...", "…")
_CLOSING_MARKS: Final = (".", "?", "!")
_FILLER: Final = re.compile(r"u+m+|u+h+m?|e+r+m?|h+m+|mm+|a+h+|e+h+")
_ANNOUNCING: Final = re.compile(
    r"""
    an? | the | my | your | our | their | his | its | every
    | and | but | or | nor | because | if | unless | although | though | while | whereas
    | than | as | when | which | whose
    | of | to | from | into | onto | with | without | for | at | by | between | via
    | is | are | was | were | am | be | been | can't | don't | let's | it's | there's
    | i | we | they | he | she | i'm | (?:we|they|you)'re | (?:i|we|they)'(?:d|ll|ve)
    """,
    re.VERBOSE,
)
_NUMBER: Final = re.compile(r"\d+|zero|oh|one|two|three|four|five|six|seven|eight|nine|ten|double|triple")
_NUMBER_RUN: Final = 2


class Verdict(Enum):
    """What the evidence about a pause amounts to."""

    UNKNOWN = "unknown"
    COMPLETE = "complete"
    DOUBTFUL = "doubtful"
    INCOMPLETE = "incomplete"
    ANNOUNCED = "announced"

    @classmethod
    def of(cls, completeness: float | None, text: str | None, complete_probability: float) -> "Verdict":
        """Weigh sound and words. Without words nothing is complete: there is no reply to play anyway."""
        if text is None:
            return cls.UNKNOWN
        if announces_more(text):
            return cls.ANNOUNCED
        if completeness is None:
            return cls.UNKNOWN
        if completeness >= complete_probability:
            return cls.COMPLETE
        return cls.DOUBTFUL if text.rstrip().endswith(_CLOSING_MARKS) else cls.INCOMPLETE


def announces_more(text: str) -> bool:
    """Tell whether the last words promise others: a filler, a function word, an open mark, a group of digits.

    The words are English; in another language only marks and digits count.
    """
    stripped = text.strip()
    words = _WORD.findall(stripped.lower().replace("’", "'"))
    if not words:
        return False
    if stripped.endswith(_UNFINISHED_MARKS) or _FILLER.fullmatch(words[-1]) or _ends_in_numbers(words):
        return True
    # "What is it for?" is complete, and so is a lone "I" or "a" that is spelt.
    return len(words) > 1 and not stripped.endswith(_CLOSING_MARKS) and _ANNOUNCING.fullmatch(words[-1]) is not None


def _ends_in_numbers(words: list[str]) -> bool:
    """Numbers and codes are dictated in groups, with pauses that nothing in the voice tells from the end."""
    run = words[-_NUMBER_RUN:]
    return len(run) == _NUMBER_RUN and all(_NUMBER.fullmatch(word) for word in run)


def required_pause_ms(verdict: Verdict, longest_pause_ms: float, settings: Endpointing) -> float:
    """Return the silence that ends the turn. Callers who paused before and went on get longer than that."""
    pause_ms = {
        Verdict.UNKNOWN: settings.completion_ms,
        Verdict.COMPLETE: settings.turn_taking_ms,
        Verdict.DOUBTFUL: settings.doubt_ms,
        Verdict.INCOMPLETE: settings.completion_ms,
        Verdict.ANNOUNCED: settings.patience_ms,
    }[verdict]
    learned_ms = longest_pause_ms * _LEARNED_FACTOR + _LEARNED_MARGIN_MS if longest_pause_ms > 0 else 0.0
    return max(float(pause_ms), min(learned_ms, float(settings.patience_ms)))
