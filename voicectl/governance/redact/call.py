"""Redact the texts of one call. Remembers what was said, so that a card number in pieces is found."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from voicectl.core.events import Role
from voicectl.core.ports import RedactedText
from voicectl.governance.redact.numerals import Atom, numerals
from voicectl.governance.redact.persons import Span, asked_in, find_persons
from voicectl.governance.redact.policy import Policy
from voicectl.governance.redact.questions import Questions
from voicectl.governance.redact.rendering import marked, rendered
from voicectl.governance.redact.stream import GRAM, Stream, speaks_of_cards

ABOUT_CARDS_TEXTS: Final = 12
"""Texts for which a call is about cards after one was spoken of."""
JUST_ASKED: Final = ABOUT_CARDS_TEXTS - 2
MAX_TEXTS: Final = 1000
"""Texts of a call that are remembered; older ones are settled."""
MAX_TEXT: Final = 32_768
"""Characters of a text that are kept: redaction runs on the event loop, and takes up to ten microseconds for one."""
CUT_MARGIN: Final = 1024
"""Characters behind those that are looked at, so that nothing is kept of what begins before the cut and ends there."""
CUT: Final = " [cut]"
RECENT: Final = 200
"""Numbers, counted from the last one, among which a card number may be new."""


@dataclass(slots=True)
class _Entry:
    key: str
    speaker: Role
    text: str
    persons: list[Span] = field(default_factory=list)
    shown: RedactedText | None = None


class RedactedCall:
    """A CallRedactor.

    What is returned at once covers, beyond six digits, any number that may go on as a card number in the next
    text. So no text ever holds more of a card number than its first six digits, in whatever order things are
    kept, and nothing has to be held back.
    """

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._entries: dict[str, _Entry] = {}
        self._streams: dict[Role, Stream] = {}
        self._revised: dict[str, RedactedText] = {}
        self._grams: set[str] = set()
        self._about_cards = 0
        self._questions = Questions()

    def add(self, key: str, text: str, *, speaker: Role) -> RedactedText:
        """Return the text as it may be kept; a text that was added before under its key is replaced.

        Of a text longer than MAX_TEXT the rest is left out, and so is a number that goes on into it.
        """
        text = text[: MAX_TEXT + CUT_MARGIN]
        known = self._entries.pop(key, None)
        if known is not None:
            if known.text == text and known.shown is not None:
                self._entries[key] = known
                return known.shown
            self._streams[known.speaker].forget(key)
        entry = self._entries[key] = _Entry(key, speaker, text)
        if len(self._entries) > MAX_TEXTS:
            del self._entries[next(iter(self._entries))]
        touched = self._take(entry)
        self._show(touched - {key})
        self._revised.pop(key, None)
        entry.shown = self._rendered(entry)
        return entry.shown

    def revised(self) -> tuple[RedactedText, ...]:
        """Return the earlier texts that read differently by now."""
        revised, self._revised = self._revised, {}
        return tuple(revised.values())

    def close(self) -> tuple[RedactedText, ...]:
        """Settle what is open, and return the texts that changed."""
        streams = list(self._streams.values())
        touched: set[str] = set().union(*(stream.end() for stream in streams))
        as_card = any(stream.ended_as_card for stream in streams)
        self._show(touched.union(*(stream.settle_echoes(as_card=as_card) for stream in streams)))
        return self.revised()

    @property
    def found(self) -> Mapping[str, int]:
        """Passages taken out of the texts, by kind, as the texts read now."""
        total: Counter[str] = Counter()
        for entry in self._entries.values():
            if entry.shown is not None:
                total.update(entry.shown.found)
        return total

    def _take(self, entry: _Entry) -> set[str]:
        """Find what is in a new text. Returns the keys of all texts that may read differently now."""
        text, about = entry.text, speaks_of_cards(entry.text)
        self._about_cards = ABOUT_CARDS_TEXTS if about else max(0, self._about_cards - 1)
        stream = self._streams.setdefault(entry.speaker, Stream())
        numbers = numerals(text, goes_on=stream.is_open)
        of_phone = self._find_persons(entry, numbers.atoms)
        if not numbers.atoms and not stream.is_open:
            return {entry.key} | of_phone
        touched = stream.feed(
            entry.key, numbers, about_cards=self._about_cards > 0, asked_for=self._about_cards >= JUST_ASKED
        )
        if len(text) > MAX_TEXT:
            stream.break_off()
        return touched | of_phone | self._repeated(stream) | self._echoes(stream)

    def _echoes(self, stream: Stream) -> set[str]:
        """Cover what repeats another speaker's unfinished number, until it is finished."""
        others = [each for each in self._streams.values() if each is not stream]
        touched: set[str] = set()
        for other in others:
            grams = other.open_grams()
            if grams:
                touched |= stream.echo(grams)
        if stream.open_grams():
            return touched
        return touched.union(*(other.settle_echoes(as_card=stream.ended_as_card) for other in others))

    def _find_persons(self, entry: _Entry, atoms: Sequence[Atom]) -> set[str]:
        """Find what names a person in a text. Returns the keys of earlier texts that hold pieces of it."""
        asked = asked_in(entry.text)
        spans = find_persons(entry.text, atoms, asked, self._questions.open, self._policy.region)
        self._questions.take(asked, atoms, spans)
        pieces = self._questions.phone_in_pieces(entry.key, entry.speaker, entry.text, atoms)
        entry.persons = self._taken_out(spans)
        for key, found in pieces.items():
            if key in self._entries:
                self._entries[key].persons += self._taken_out(found)
        return set(pieces)

    def _taken_out(self, spans: Iterable[Span]) -> list[Span]:
        return [span for span in spans if self._policy.kinds.get(span.kind) != "keep"]

    def _repeated(self, stream: Stream) -> set[str]:
        """Take out what repeats a part of a card number that is known by now."""
        known = len(self._grams)
        for number in {said.card for said in stream.said[-RECENT:] if said.card}:
            self._grams.update(number[at : at + GRAM] for at in range(len(number) - GRAM + 1))
        if not self._grams:
            return set()
        if len(self._grams) == known:
            return stream.sweep(self._grams, RECENT)
        return set().union(*(each.sweep(self._grams) for each in self._streams.values()))

    def _show(self, keys: set[str]) -> None:
        """Note the texts that read differently now."""
        for key in keys:
            entry = self._entries.get(key)
            if entry is None:
                continue
            fresh = self._rendered(entry)
            if fresh != entry.shown:
                entry.shown = self._revised[key] = fresh

    def _rendered(self, entry: _Entry) -> RedactedText:
        stream = self._streams.get(entry.speaker)
        said = [] if stream is None else stream.of(entry.key)
        found = marked(entry.text, said, entry.persons)
        text = rendered(entry.text, found, self._policy, limit=MAX_TEXT)
        text += CUT if len(entry.text) > MAX_TEXT else ""
        counts = Counter(span.kind for span, _ in found)
        open_ = counts.pop("digits", 0)
        return RedactedText(entry.key, text, dict(counts), settled=open_ == 0)
