"""Card numbers as people say them and recognisers write them, interrupted or not, from a seed. Knows no detector."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from tests.fakes.interruptions import AGENT, CALLER, HELD_OUT_AGENT, HELD_OUT_CALLER
from voicectl.core.events import Role


def _list(words: str) -> list[str]:
    return words.split()


DIGITS: Final = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
ZEROS: Final = ("zero", "oh", "O", "o", "nought", "naught", "Zero", "Oh")
TEENS: Final = _list("ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen")
TENS: Final = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
SOUNDS: Final = {"1": "won", "2": "to", "4": "for", "8": "ate"}
TIMES: Final = {2: ("double",), 3: ("triple", "treble"), 4: ("quadruple",)}
_BETWEEN_PIECES: Final = (
    "uh|um|er|erm|like|so|that's|sorry|then|and|and then|okay|so that's|let me see|uh um|hmm|dash|hyphen|space|next"
    "|yeah|you know|it's|um sorry|wait|hold on a sec|followed by|comma|er like|ah|i mean|now|right|the next is"
)
FILLERS: Final = _BETWEEN_PIECES.split("|")
PUNCTUATION: Final = (" ", " ", " ", "-", ", ", ". ", "... ", " - ", " – ", "—", " / ", ". ", "\n", "  ", " ")
_FIRST: Final = "|||it's|yeah sure, it's|okay so|um|sure,|the number is|right, it is|that would be"
OPENINGS: Final = (
    *_FIRST.split("|"),
    *("my card number is", "the card is", "my Visa is", "credit card number:", "it's an amex,", "The card number is"),
)
CLOSINGS: Final = (
    *("", "", "", "", "thanks", "please", "did you get that", "is that right", "that's it"),
    *(", expires oh nine twenty seven", "expiry 09/27", "and the cvv is 123", "the name is Ann Doe", "got it?"),
)
BETWEEN: Final = (
    *("okay", "go ahead", "mm-hm", "Yes?", "and the next?", "Got that.", "sure, take your time", "Please go on."),
    *("Thank you, and then?", "I am listening."),
)
ASIDES: Final = ("hang on", "let me find my glasses", "sorry one moment", "hold on, it is worn off", "where was I")
ASKED: Final = (
    *(
        "can i have your card number please",
        "What is your card number?",
        "okay, go ahead",
        "Please read me the number.",
    ),
    *("what number are you calling about", "And how would you like to pay?", "The long number on the front, please."),
)
MAX_INTERRUPTIONS: Final = 2
NETWORKS: Final = (
    *(("4", 16), ("4", 16), ("4", 16), ("4", 13), ("4", 19), ("51", 16), ("53", 16), ("55", 16), ("2221", 16)),
    *(("2720", 16), ("34", 15), ("37", 15), ("6011", 16), ("65", 16), ("36", 14), ("3528", 16), ("62", 17), ("50", 16)),
)


@dataclass(frozen=True, slots=True)
class SpokenCall:
    """The texts of a call in order, and what of it is secret, or ordinary, or interrupts the secret."""

    texts: tuple[tuple[Role, str], ...]
    card: str = ""
    numbers: tuple[str, ...] = ()
    between: tuple[str, ...] = ()


def card_number(rng: random.Random) -> str:
    """Return a number with a right check digit."""
    prefix, length = rng.choice(NETWORKS)
    body = prefix + "".join(rng.choice("0123456789") for _ in range(length - len(prefix) - 1))
    total = 0
    for place, digit in enumerate(reversed(body)):
        value = int(digit) * (2 if place % 2 == 0 else 1)
        total += value - 9 if value > 9 else value
    return body + str(-total % 10)


# --- one piece of a number ------------------------------------------------------------------------


def in_words(chunk: str, rng: random.Random) -> str:
    """Return the digits one by one."""
    glue = rng.choice((" ", " ", " ", ", ", "-", " uh ", ". "))
    return glue.join(rng.choice(ZEROS) if digit == "0" else DIGITS[int(digit)] for digit in chunk)


def _repeated(chunk: str, rng: random.Random) -> str:
    said: list[str] = []
    at = 0
    while at < len(chunk):
        run = 1
        while at + run < len(chunk) and run < 4 and chunk[at + run] == chunk[at]:
            run += 1
        word = rng.choice(("zero", "oh")) if chunk[at] == "0" else DIGITS[int(chunk[at])]
        said.append(word if run == 1 else f"{rng.choice(TIMES[run])} {word}")
        at += run
    return " ".join(said)


def _pairs(chunk: str, rng: random.Random) -> str:
    said: list[str] = []
    for at in range(0, len(chunk), 2):
        pair = chunk[at : at + 2]
        if len(pair) == 1 or pair[0] == "0":
            said.append(in_words(pair, random.Random(rng.random())).replace(" uh ", " "))
        elif pair[0] == "1":
            said.append(TEENS[int(pair[1])])
        else:
            tens = TENS[int(pair[0]) - 2]
            said.append(tens if pair[1] == "0" else f"{tens}{rng.choice('- ')}{DIGITS[int(pair[1])]}")
    return rng.choice((" ", ", ")).join(said)


def _thousands(chunk: str, rng: random.Random) -> str:
    if len(chunk) != 4 or chunk[0] == "0":
        return in_words(chunk, rng)
    said = [DIGITS[int(chunk[0])], "thousand"]
    if chunk[1] != "0":
        said += [DIGITS[int(chunk[1])], "hundred"]
    rest = int(chunk[2:])
    if rest:
        if chunk[1] != "0" and rng.random() < 0.3:
            said.append("and")
        said.append(
            DIGITS[rest]
            if rest < 10
            else TEENS[rest - 10]
            if rest < 20
            else TENS[rest // 10 - 2] + (f" {DIGITS[rest % 10]}" if rest % 10 else "")
        )
    return " ".join(said)


def _sounds(chunk: str, rng: random.Random) -> str:
    plain = rng.randrange(len(chunk))
    return " ".join(
        SOUNDS[digit] if at != plain and digit in SOUNDS and rng.random() < 0.5 else DIGITS[int(digit)]
        for at, digit in enumerate(chunk)
    )


def _numeral(chunk: str, _rng: random.Random) -> str:
    return chunk


def _spaced(chunk: str, rng: random.Random) -> str:
    return rng.choice((" ", "-", ", ")).join(chunk)


_STYLES: Final[tuple[Callable[[str, random.Random], str], ...]] = (
    *(in_words, in_words, in_words, _numeral, _numeral, _numeral, _spaced, _repeated, _repeated, _pairs, _pairs),
    *(_thousands, _sounds),
)


def _chunks(card: str, rng: random.Random) -> list[str]:
    kind = rng.random()
    if kind < 0.5:
        sizes = [4, 6, 5] if len(card) == 15 and rng.random() < 0.7 else [4] * 5
    elif kind < 0.6:
        sizes = [2] * 10
    elif kind < 0.7:
        sizes = [len(card)]
    else:
        sizes = [rng.randint(1, 6) for _ in range(19)]
    chunks: list[str] = []
    at = 0
    for size in sizes:
        if at < len(card):
            chunks.append(card[at : at + size])
            at += size
    return chunks


def _cased(text: str, rng: random.Random) -> str:
    kind = rng.random()
    return text.upper() if kind < 0.03 else text.capitalize() if kind < 0.2 else text


def spoken_card(rng: random.Random, *, held_out: bool = False) -> SpokenCall:
    """Return a call in which a card number is said, in one text or in several; `held_out` with other interruptions."""
    card = card_number(rng)
    if rng.random() < 0.03:
        number = f"{int(card):,}" if rng.random() < 0.6 else card
        return SpokenCall((("user", f"{rng.choice(OPENINGS)} {rng.choice(('', '$'))}{number}. Thanks."),), card)
    styles = [rng.choice(_STYLES)] if rng.random() < 0.6 else list(_STYLES)
    chunks = _chunks(card, rng)
    several = rng.random() < 0.4
    restarts = rng.random() < 0.06
    texts: list[tuple[Role, str]] = [("assistant", rng.choice(ASKED))] if rng.random() < 0.3 else []
    said = rng.choice(OPENINGS)
    between: list[str] = []
    interrupted = _interrupted(len(chunks), rng, always=held_out)
    for index, chunk in enumerate(chunks):
        if index in interrupted:
            before, said, phrase = _interruption(said, rng, held_out=held_out)
            between.append(phrase)
            texts += before
        elif index:
            if several and rng.random() < 0.5:
                texts.append(("user", said))
                said = rng.choice(("", "", "then", "uh", "okay", "and", "next is"))
                texts += _interlude(chunks[index - 1], rng)
            else:
                said += f" {rng.choice(FILLERS)} " if rng.random() < 0.4 else rng.choice(PUNCTUATION)
        if restarts and len(chunk) > 1 and rng.random() < 0.4:
            # A piece said wrong, taken back, and said again.
            wrong = "".join(rng.choice("0123456789") for _ in chunk)
            said += f" {rng.choice(styles)(wrong, rng)} {rng.choice(('sorry', 'no wait', 'no, sorry', 'i mean'))} "
        said += (
            f" {rng.choice(styles)(chunk, rng)}" if not said.endswith(("-", "—")) else rng.choice(styles)(chunk, rng)
        )
    texts.append(("user", f"{said} {rng.choice(CLOSINGS)}"))
    if rng.random() < 0.1:
        texts.append(("assistant", f"So that is {card[:4]} {card[4:8]} {card[8:12]} {card[12:]}, is that right?"))
    shown = tuple((role, _cased(text.strip(), rng)) for role, text in texts if text.strip())
    return SpokenCall(shown, card, between=tuple(between))


def _interrupted(num_chunks: int, rng: random.Random, *, always: bool) -> set[int]:
    """Return the pieces before which something comes between."""
    if num_chunks < 2 or (rng.random() >= 0.4 and not always):
        return set()
    return {rng.randrange(1, num_chunks) for _ in range(rng.randint(1, MAX_INTERRUPTIONS))}


def _interruption(said: str, rng: random.Random, *, held_out: bool) -> tuple[list[tuple[Role, str]], str, str]:
    """Return the texts that are over, how the next one begins, and the caller's phrase."""
    caller, agent = (HELD_OUT_CALLER, HELD_OUT_AGENT) if held_out else (CALLER, AGENT)
    phrase, answer = rng.choice(caller), rng.choice(agent)
    kind = rng.random()
    if kind < 0.35:
        return [], f"{said}{rng.choice((' ', ', ', '. '))}{phrase}{rng.choice((' ', ', ', '. '))}", phrase
    if kind < 0.5:
        return [("user", f"{said} {phrase}"), *([("assistant", answer)] if rng.random() < 0.5 else [])], "", phrase
    if kind < 0.65:
        return [("user", said), ("user", phrase)], "", phrase
    if kind < 0.8:
        return [("user", said), ("user", phrase), ("assistant", answer)], rng.choice(("", "okay", "so", "yes")), phrase
    if kind < 0.9:
        return [("user", said), ("assistant", answer)], f"{phrase} ", phrase
    return [("user", said), ("assistant", answer)], "", phrase


def _interlude(last: str, rng: random.Random) -> list[tuple[Role, str]]:
    kind = rng.random()
    if kind < 0.3:
        return []
    if kind < 0.5:
        return [("assistant", f"{last}, {rng.choice(BETWEEN)}")]
    texts: list[tuple[Role, str]] = [("assistant", rng.choice(BETWEEN))]
    if kind > 0.85:
        texts.append(("user", rng.choice(ASIDES)))
    return texts
