"""The pure parts of the agent plane."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicectl.agent.history import History, UnknownItem
from voicectl.agent.interruption import Verdict, is_backchannel, verdict_at_pause, verdict_while_speaking
from voicectl.agent.partials import LocalAgreement
from voicectl.agent.segmenter import Segmenter
from voicectl.core.events import Item
from voicectl.core.ports import Message
from voicectl.core.sections.media import BargeIn

WORDS = st.lists(st.sampled_from(["one", "two,", "three.", "four!", "Mr.", "five?", "\n"]), max_size=60)


@given(WORDS, st.integers(1, 5))
def test_clauses_joined_are_the_text(words: list[str], first: int) -> None:
    text = " ".join(words)
    segmenter = Segmenter(first)
    clauses = [clause for char in text for clause in segmenter.push(char)] + segmenter.flush()
    assert "".join(clauses).strip() == text.strip()


def test_first_clause_ends_at_the_first_punctuation_after_enough_words() -> None:
    segmenter = Segmenter(3)
    assert segmenter.push("Sure, I can do that, of course. And more. ") == [
        "Sure, I can do that, ",
        "of course. ",
        "And more. ",
    ]


def test_abbreviation_is_no_end_of_a_clause() -> None:
    assert Segmenter(1).push("Ask for Dr. Who, please") == ["Ask for Dr. Who, "]


def test_text_without_punctuation_is_not_held_back_for_ever() -> None:
    assert [len(clause.split()) for clause in Segmenter(3).push("word " * 36)] == [5, 30]


def test_long_first_clause_is_cut_before_a_linking_word() -> None:
    text = "Natural language processing is a subfield of computer science. "
    assert Segmenter(3).push(text)[0] == "Natural language processing "
    assert Segmenter(3).push("We sell many kinds of the best coffee beans.")[0] == "We sell many kinds "


def test_whitespace_is_not_spoken() -> None:
    segmenter = Segmenter(3)
    segmenter.push("  \n ")
    assert segmenter.flush() == []


@pytest.mark.parametrize("text", ["Uh-huh.", "mm-hmm", "Yeah, yeah.", "Okay.", "MHM", "I see"])
def test_backchannels_are_known(text: str) -> None:
    assert is_backchannel(text, BargeIn(), asked=False)


@pytest.mark.parametrize("text", ["Oh.", "MMMM.", "Oh, okay.", "Hm hm hm", "Uhh", "Ah"])
def test_sounds_without_meaning_are_known_however_they_are_written(text: str) -> None:
    assert is_backchannel(text, BargeIn(), asked=False)


@pytest.mark.parametrize("text", ["Stop.", "Yeah but wait", "okay thanks I have another question", "Um, wait", ""])
def test_other_words_are_no_backchannels(text: str) -> None:
    assert not is_backchannel(text, BargeIn(), asked=False)


def test_okay_after_a_question_is_an_answer() -> None:
    assert verdict_at_pause("Okay.", BargeIn(), asked=True) is Verdict.INTERRUPT
    assert verdict_at_pause("Mm-hmm.", BargeIn(), asked=True) is Verdict.IGNORE


def test_without_backchannels_every_sound_is_words() -> None:
    assert verdict_at_pause("Mm-hmm.", BargeIn(backchannels=()), asked=False) is Verdict.INTERRUPT


def test_words_over_the_agent_decide() -> None:
    settings = BargeIn()
    assert verdict_while_speaking("", 0.3, settings, asked=False) is Verdict.WAIT
    assert verdict_while_speaking("uh", 0.3, settings, asked=False) is Verdict.WAIT
    assert verdict_while_speaking("wait a moment", 0.4, settings, asked=False) is Verdict.WAIT
    assert verdict_while_speaking("wait a moment", 0.5, settings, asked=False) is Verdict.INTERRUPT
    assert verdict_while_speaking("", 2.0, settings, asked=False) is Verdict.INTERRUPT


def test_words_settle_when_two_transcripts_agree() -> None:
    agreement = LocalAgreement()
    assert agreement.push("the cat") == ""
    assert agreement.push("The cat sat") == "The cat"
    assert agreement.push("The cat sat down") == " sat"
    assert agreement.push("A dog") == ""


@given(st.lists(st.lists(st.sampled_from("abc"), max_size=6), max_size=6))
def test_settled_words_are_never_taken_back(transcripts: list[list[str]]) -> None:
    agreement = LocalAgreement()
    settled = ""
    for words in transcripts:
        settled += agreement.push(" ".join(words))
    assert len(settled.split()) <= max((len(words) for words in transcripts), default=0)


def test_history_keeps_order_and_refuses_unknown_and_duplicate_ids() -> None:
    history = History()
    assert history.insert(Item("a", "user", "1")) is None
    assert history.insert(Item("b", "user", "2")) == "a"
    assert history.insert(Item("c", "user", "0"), "root") is None
    assert history.insert(Item("d", "user", "1.5"), "a") == "a"
    with pytest.raises(UnknownItem):
        history.insert(Item("e", "user", "x"), "nowhere")
    with pytest.raises(ValueError, match="exists"):
        history.insert(Item("a", "user", "x"))
    assert history.prompt("Be kind.") == (Message("system", "Be kind."), Message("user", "0 1 1.5 2"))


def test_entries_without_text_are_not_in_the_prompt() -> None:
    history = History()
    history.insert(Item("a", "user", "Hi"))
    history.insert(Item("b", "assistant", ""))
    assert history.prompt("") == (Message("user", "Hi"),)
