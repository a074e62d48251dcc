"""The words in which people say numbers, and those that stand between, before and behind numbers. Only tables."""

from enum import IntEnum
from typing import Final


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


class Word(IntEnum):
    """What a word does to a number that is being said."""

    DIGIT = 1
    SOUND = 2
    """Sounds like a digit and is usually something else: "for", "to", "oh"."""
    TEEN = 3
    TENS = 4
    HUNDRED = 5
    THOUSAND = 6
    TIMES = 7
    PLURAL = 8
    FILLER = 9
    CORRECTION = 10
    CURRENCY = 11
    UNIT = 12
    SPAN = 13
    """A short time to wait: "two seconds"."""
    STREET = 14
    MONTH = 15
    PLACE = 16
    NAME = 17


def _table() -> dict[str, tuple[Word, str]]:
    table: dict[str, tuple[Word, str]] = {}

    def enter(kind: Word, words: str, payload: str = "") -> None:
        for word in words.split():
            table[word] = (kind, payload)

    enter(Word.FILLER, _FILLERS)
    enter(Word.CORRECTION, _CORRECTIONS)
    enter(Word.CURRENCY, _CURRENCIES)
    enter(Word.UNIT, _UNITS)
    enter(Word.SPAN, _SPANS)
    enter(Word.STREET, _STREETS)
    enter(Word.MONTH, _MONTHS)
    enter(Word.PLACE, _PLACES)
    enter(Word.NAME, f"{_NAMES} account")
    for digit, words in enumerate(_DIGITS):
        enter(Word.DIGIT, words, str(digit))
    for digit, words in enumerate(_SOUNDS):
        enter(Word.SOUND, words, str(digit))
    for digit, words in enumerate(_PLURALS):
        enter(Word.PLURAL, words, str(digit))
    for offset, word in enumerate(_TEENS.split()):
        enter(Word.TEEN, word, str(10 + offset))
    for offset, words in enumerate(_TENS):
        enter(Word.TENS, words, str(2 + offset))
    enter(Word.HUNDRED, "hundred hundreds")
    enter(Word.THOUSAND, "thousand")
    for times, words in _TIMES.items():
        enter(Word.TIMES, words, times)
    return table


_DIGITS: Final = (
    "zero nought naught nil",
    "one",
    "two",
    "three",
    "four",
    "five fife",
    "six",
    "seven",
    "eight",
    "nine niner",
)
_SOUNDS: Final = (
    "oh o owe ow null cipher",
    "won",
    "to too tu",
    "tree free",
    "for fore",
    "hive",
    "sicks",
    "",
    "ate",
    "nein",
)
_PLURALS: Final = (
    "zeros zeroes noughts naughts ohs oh's o's",
    "ones",
    "twos",
    "threes",
    "fours",
    "fives",
    "sixes",
    "sevens",
    "eights",
    "nines",
)
_TEENS: Final = "ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen"
_TENS: Final = ("twenty", "thirty", "forty fourty", "fifty", "sixty", "seventy", "eighty", "ninety")
_TIMES: Final = {"2": "double", "3": "triple treble", "4": "quadruple", "5": "quintuple"}

# What is said between the pieces of a number that is read out.
_FILLERS: Final = """
    i uh uhh um umm er err erm em ah ahh eh hm hmm mm mmm mhm huh like so that's thats that is it's its it then and
    okay ok yeah yep yup yes well right you know let me see wait hold on hang dash dashes hyphen minus space
    dot point comma period slash next now followed by got a sec just the number numbers digits digit
    please alright uhm anyway here there again after comes come goes if can my kay
"""
_CORRECTIONS: Final = "sorry no correction oops scratch actually mean rather wrong nope pardon apologies whoops"
# Words that make a number directly before them one of something.
_CURRENCIES: Final = "dollar dollars buck bucks cent cents euro euros pound pounds"
_UNITS: Final = """
    percent percentage am pm o'clock oclock noon midnight hour hours day days week weeks month months year years
    mile miles kilometers kilometres feet foot inches inch meters metres degrees people persons items units pieces
    copies orders customers visitors seats boxes ounces grams kilos kilograms liters litres gallons times million
    billion
"""
_SPANS: Final = "second seconds sec secs moment moments minute minutes min mins"
_STREETS: Final = "street avenue road boulevard lane drive court"
_MONTHS: Final = """
    january february march april may june july august september october november december
    jan feb mar apr jun jul aug sep sept oct nov dec
"""
# Words that make a number directly behind them another one than it was.
_PLACES: Final = """
    suite apartment apt floor highway gate room page version extension ext unit code pin born birth birthday social ssn
"""
_NAMES: Final = (
    "zip zipcode postcode postal order confirmation tracking invoice reference ref case ticket phone telephone "
    "mobile cell flight routing policy member membership serial model patient claim expires expiry expiration exp "
    "expiring cvv cvc csc cv2"
)

WORDS: Final = _table()
LABELS: Final = {**dict.fromkeys(_set(_NAMES), 2), "account": 1}
"""Words that name the number which follows as another kind than a card's: for certain (2), or probably (1)."""
NAMING: Final = _set("says reads shows called would was for no id my your")
"""Words that may stand between such a name and its number, other than fillers."""
TELLING: Final = _set("number numbers no id is it's was says reads code")
"""Words of those that tell that a number follows."""
WEAK_NAMES: Final = _set("phone telephone mobile cell ticket case claim policy patient member model account postal")
"""Names of numbers that are more often things: they name a number only with a word that tells so."""
NO_NAME_BEHIND: Final = _set(
    "in this that of any just right same correct out reverse what which other living waiting whole"
)
"""Words behind which "order" and "room" name nothing: "in order", "the other room"."""
ALSO_WORDS: Final = _set("may march mar dec")
"""Months that a number only makes a month when it follows."""
CHATTED: Final = _set("percent hour hours day days week weeks month months year years people persons times feet")
"""Units of which people talk while they do something else: "my five year old"."""
SINGULAR: Final = _set("second sec moment minute min")
COUNTED: Final = _set("digit digits number numbers")
"""Words that make a small number before them a count: "four digits"."""
BEFORE_COUNT: Final = _set(
    "last next first other final middle remaining following previous second third these those same only another my "
    "all of both"
)
"""Words that may make a small number behind them a count: "the last four"."""
AFTER_ONE: Final = _set(
    "more thing things of time way question last other another day week month "
    "year person place way reason item who that's"
)
"""Words before which "one" is no digit."""
BEFORE_ONE: Final = _set(
    "next this that which another any every some other last new old right wrong each first second third"
)
"""Words behind which "one" is no digit, unless digits follow."""
