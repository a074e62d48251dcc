"""Run one generated call through a redactor and judge everything that could have been kept of it."""

import re

from tests.fakes.leaks import leaked
from tests.fakes.spoken_cards import SpokenCall
from voicectl.core.ports import Redactor


def kept_versions(redactor: Redactor, call: SpokenCall) -> list[list[str]]:
    """Return, for each text of the call, every version of it that was returned, in order."""
    redacted = redactor.open_call()
    versions: list[list[str]] = []
    for index, (role, text) in enumerate(call.texts):
        versions.append([redacted.add(str(index), text, speaker=role).text])
        for revised in redacted.revised():
            versions[int(revised.key)].append(revised.text)
    for revised in redacted.close():
        versions[int(revised.key)].append(revised.text)
    return versions


def _without(text: str, phrases: tuple[str, ...]) -> str:
    """Return a text without what interrupts a number: digits of its own would hide a leak, or look like one."""
    for phrase in phrases:
        text = re.sub(re.escape(phrase), " ", text, flags=re.IGNORECASE)
    return text


def leak_of(redactor: Redactor, call: SpokenCall) -> str | None:
    """Return what leaked of the call's card number: at once, at last, or in any version of a text."""
    versions = kept_versions(redactor, call)
    for role in ("user", "assistant"):
        mine = [each for each, (speaker, _) in zip(versions, call.texts, strict=True) if speaker == role]
        mine = [[_without(text, call.between) for text in each] for each in mine]
        candidates = [[each[0] for each in mine], [each[-1] for each in mine]]
        candidates += [[text] for each in mine for text in each[1:-1]]
        for texts in candidates:
            leak = leaked(call.card, texts)
            if leak is not None:
                return f"{role}: {leak} in {texts}"
    return None


def falsely_redacted(redactor: Redactor, call: SpokenCall) -> list[tuple[str, str]]:
    """Return the ordinary numbers that the last versions lack, each with all the text that is left."""
    left = "\n".join(each[-1] for each in kept_versions(redactor, call))
    return [(number, left) for number in call.numbers if number not in left]
