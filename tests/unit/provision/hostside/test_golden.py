"""Tests of the verdict on a golden call."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicectl.provision.hostside.faults import Damaged
from voicectl.provision.hostside.golden import (
    Expectation,
    Observation,
    judge,
    read_expectation,
    word_error_rate,
    words,
)

EXPECTED = Expectation("What is the capital of France?", max_wer=0.2, max_v2v_ms=3000)
GOOD = Observation(
    heard="what is the capital of France",
    reply="The capital of France is Paris.",
    v2v_ms=640.0,
    reply_rms=0.1,
    reply_heard="the capital of france is paris",
)


def test_a_good_call_passes() -> None:
    judgement = judge(EXPECTED, GOOD)
    assert (judgement.problems, judgement.wer, judgement.reply_wer) == ((), 0.0, 0.0)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"heard": "what is a cat"}, "misheard"),
        ({"heard": ""}, "misheard"),
        ({"reply": ""}, "no answer"),
        ({"v2v_ms": None}, "no answer"),
        ({"v2v_ms": 3001.0}, "took 3001 ms"),
        ({"reply_rms": 0.0}, "silent"),
        ({"reply_heard": "bananas grow on trees in spring"}, "does not say the answer"),
        ({"reply_heard": ""}, "does not say the answer"),
    ],
)
def test_a_bad_call_says_what_is_wrong(change: dict[str, object], problem: str) -> None:
    problems = judge(EXPECTED, replace(GOOD, **change)).problems  # type: ignore[arg-type] # one field each
    assert problem in "; ".join(problems)


def test_all_that_is_wrong_is_said_at_once() -> None:
    judgement = judge(EXPECTED, replace(GOOD, heard="no", v2v_ms=9000.0, reply_rms=0.0))
    assert len(judgement.problems) == 3


def test_figures_hold_no_word_of_the_call() -> None:
    text = json.dumps(judge(EXPECTED, replace(GOOD, reply_heard="bananas")).document()).lower()
    assert not any(word in text for word in ("paris", "france", "bananas"))


@pytest.mark.parametrize(
    ("reference", "heard", "rate"),
    [
        ("a b c d", "a b c d", 0.0),
        ("a b c d", "a x c d", 0.25),
        ("a b c d", "a c d", 0.25),
        ("a b c d", "a b b c d", 0.25),
        ("a", "x y z", 1.0),
        ("", "x", 1.0),
        ("Don't stop!", "dont, stop", 0.0),
    ],
)
def test_word_error_rate_counts_edits_per_word(reference: str, heard: str, rate: float) -> None:
    assert word_error_rate(reference, heard) == rate


@given(st.text("abc ", max_size=30), st.text("abc ", max_size=30))
def test_word_error_rate_is_a_share(reference: str, heard: str) -> None:
    assert 0.0 <= word_error_rate(reference, heard) <= 1.0


@given(st.text(max_size=40).filter(words))
def test_the_same_words_have_no_errors(text: str) -> None:
    assert word_error_rate(text, text) == 0.0


def test_expectations_are_read_with_the_bound_of_the_host_first(tmp_path: Path) -> None:
    (tmp_path / "golden.json").write_text(json.dumps({"transcript": "hello", "max_wer": 0.1, "max_v2v_ms": 900}))
    assert read_expectation(tmp_path, max_v2v_ms=None).max_v2v_ms == 900
    assert read_expectation(tmp_path, max_v2v_ms=4000.0).max_v2v_ms == 4000


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"transcript": "..."}', '{"transcript": "a", "max_wer": "x"}'])
def test_broken_expectations_are_damage(tmp_path: Path, text: str) -> None:
    (tmp_path / "golden.json").write_text(text)
    with pytest.raises(Damaged):
        read_expectation(tmp_path, max_v2v_ms=None)
