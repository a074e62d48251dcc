"""Decide whether speech over the agent's voice takes the floor from it. Pure; knows no audio."""

import re
from enum import Enum
from typing import Final

from voicectl.core.sections.media import BargeIn

_HUM: Final = re.compile(r"[hm]*m[hm]*|h?u+h+|u+m+|a+h+|o+h+|aha")
"""A sound without meaning, however long. A recogniser writes "uh-huh" in many ways: "Oh.", "MMMM."."""


class Verdict(Enum):
    """What to do about a caller who speaks while the agent does."""

    WAIT = "wait"
    IGNORE = "ignore"
    INTERRUPT = "interrupt"


def normalise(text: str) -> str:
    """Return lower-case words without punctuation, hyphens kept as blanks."""
    return " ".join(re.sub(r"[^\w\s']", " ", text.replace("-", " ")).casefold().split())


def holds(speech_s: float, settings: BargeIn) -> bool:
    """Tell whether speech over the agent has lasted long enough to hold the agent's voice."""
    return round(speech_s * 1000) >= settings.hold_ms


def is_backchannel(text: str, settings: BargeIn, *, asked: bool) -> bool:
    """Tell whether `text` only says "I am listening".

    After a question (`asked`) only sounds without meaning count: "okay" would be an answer.
    """
    words = normalise(text)
    known = {normalise(phrase) for phrase in settings.backchannels}
    if asked:
        known = {phrase for phrase in known if all(_HUM.fullmatch(word) for word in phrase.split())}
    if words in known:
        return True
    # "okay okay", "oh yeah": repetitions of backchannels are one.
    parts = words.split()
    return bool(known) and 0 < len(parts) <= 3 and all(part in known or _HUM.fullmatch(part) for part in parts)


def verdict_while_speaking(text: str, speech_s: float, settings: BargeIn, *, asked: bool) -> Verdict:
    """Decide from the words so far of speech that goes on; `text` is empty if none are known yet."""
    if speech_s * 1000 > settings.backchannel_max_ms:
        return Verdict.INTERRUPT
    words = normalise(text)
    if not words or speech_s * 1000 < settings.min_speech_ms:
        return Verdict.WAIT
    if is_backchannel(words, settings, asked=asked):
        return Verdict.WAIT
    starts_one = any(normalise(phrase).startswith(words) for phrase in settings.backchannels)
    return Verdict.WAIT if starts_one and not asked else Verdict.INTERRUPT


def verdict_at_pause(text: str, settings: BargeIn, *, asked: bool) -> Verdict:
    """Decide from the words of speech that has ended."""
    if not normalise(text) or is_backchannel(text, settings, asked=asked):
        return Verdict.IGNORE
    return Verdict.INTERRUPT
