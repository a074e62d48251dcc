"""The words in which people say numbers, and those that stand between, before and behind numbers. Only tables."""

from enum import IntEnum
from typing import Final


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
    BREAK = 11


def _table() -> dict[str, tuple[Word, str]]:
    table: dict[str, tuple[Word, str]] = {}

    def enter(kind: Word, words: str, payload: str = "") -> None:
        for word in words.split():
            table[word] = (kind, payload)

    enter(Word.FILLER, _FILLERS)
    enter(Word.CORRECTION, _CORRECTIONS)
    enter(Word.BREAK, _BREAKS)
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
# What says that the number before it, or after it, is complete and something else than what came so far.
_BREAKS: Final = """
    dollar dollars buck bucks cent cents euro euros pound pounds percent percentage am pm o'clock oclock noon midnight
    minute minutes hour hours day days week weeks month months year years mile miles kilometers kilometres feet foot
    inches inch meters metres degrees people persons items units pieces copies orders customers visitors seats
    boxes pounds ounces grams kilos kilograms liters litres gallons times million billion
    street avenue road boulevard lane drive court suite apartment apt floor highway
    january february march april june july august september october november december
    jan feb mar apr jun jul aug sep sept oct nov dec monday tuesday wednesday thursday friday saturday sunday
    zip zipcode postcode postal order confirmation tracking invoice reference ref case ticket phone telephone mobile
    cell flight gate account routing policy member membership serial model version page room extension ext
    expires expiry expiration exp expiring cvv cvc csc cv2 code pin born birth birthday social ssn
    patient claim department store
"""

WORDS: Final = _table()
LABELS: Final = {
    **dict.fromkeys(
        "zip zipcode postcode postal order confirmation tracking invoice reference ref case ticket phone telephone "
        "mobile cell flight routing policy member membership serial model patient claim".split(),
        2,
    ),
    "account": 1,
}
"""Words that name the number which follows as another kind than a card's: for certain (2), or probably (1)."""
AFTER_ONE: Final = frozenset(
    "moment moments second sec minute more thing things of time way question last other another day week month "
    "year person place way reason item who that's".split()
)
"""Words before which "one" is no digit."""
BEFORE_ONE: Final = frozenset("next this that which another any every some other last new old right wrong each".split())
"""Words behind which "one" is no digit, unless digits follow."""
