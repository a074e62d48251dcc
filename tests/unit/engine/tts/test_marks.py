"""Every word gets a place in the phonemes, in order."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from voicectl.engine.tts.marks import is_silent, locate_words


def never(word: str) -> Sequence[str]:
    raise AssertionError(f"{word!r} was phonemised alone")


def heard(words: Sequence[str], clause: str, alone: dict[str, str] | None = None) -> list[str]:
    lookup = never if alone is None else alone.__getitem__
    return [clause[begin:end] for begin, end in locate_words(words, list(clause), lookup)]


def test_plain_words_map_one_to_one_without_a_second_look() -> None:
    clause = "ʃˈʊɹ, aɪ kæn dˈuː ðˈæt."
    assert heard(["Sure,", "I", "can", "do", "that."], clause) == ["ʃˈʊɹ", "aɪ", "kæn", "dˈuː", "ðˈæt"]


def test_words_that_espeak_joins_are_told_apart() -> None:
    alone = {"of": "ˈʌv", "the": "ðə", "cat": "kˈæt"}
    assert heard(["of", "the", "cat"], "ʌvðə kˈæt", alone) == ["ʌv", "ðə", "kˈæt"]


def test_a_number_takes_all_its_words() -> None:
    alone = {"owe": "ˈoʊ", "$12.50": "dˈɑːlɚ twˈɛlv pɔɪnt fˈaɪv zˈiəɹoʊ", "for": "fˈɔːɹ", "items": "ˈaɪɾəmz"}
    clause = "ˈoʊ dˈɑːlɚ twˈɛlv pɔɪnt fˈaɪv zˈiəɹoʊ fɔːɹ ˈaɪɾəmz"
    assert heard(["owe", "$12.50", "for", "items"], clause, alone) == [
        "ˈoʊ",
        "dˈɑːlɚ twˈɛlv pɔɪnt fˈaɪv zˈiəɹoʊ",
        "fɔːɹ",
        "ˈaɪɾəmz",
    ]


def test_a_word_that_is_not_heard_has_an_empty_range() -> None:
    ranges = locate_words(["a", "+", "b"], list("ɐ bˈiː"), {"a": "ɐ", "+": "", "b": "bˈiː"}.__getitem__)
    assert ranges[1][0] == ranges[1][1]


def test_words_unlike_the_clause_are_spread_in_proportion() -> None:
    assert heard(["1", "2"], "abcd", {"1": "xx", "2": "yy"}) == ["ab", "cd"]


def test_silence_is_punctuation_only() -> None:
    assert is_silent(list(" .,ˈ"))
    assert is_silent([])
    assert not is_silent(list("ə."))


PHONEMES = st.text(alphabet="abcdˈː ,.", max_size=40)


@given(st.lists(st.tuples(st.sampled_from(["ab", "1", "$5", "c-d", "e,"]), PHONEMES), max_size=12), PHONEMES)
def test_ranges_are_in_order_and_inside_for_any_pronunciation(words: list[tuple[str, str]], clause: str) -> None:
    alone = dict(words)
    ranges = locate_words([word for word, _ in words], list(clause), alone.__getitem__)
    assert len(ranges) == len(words)
    position = 0
    for begin, end in ranges:
        assert position <= begin <= end <= len(clause)
        position = end
