"""Questions about the same are one gap, in whatever order they come."""

import random

from voicectl.governance.report.gaps import Question, grouped

TEXTS = [
    "do you have wheelchair access",
    "is there wheelchair access at the entrance",
    "can I pay with a gift card",
    "do you take gift cards",
    "what is the warranty on batteries",
]


def test_questions_about_the_same_are_one() -> None:
    found = grouped([Question(f"c{number}", text) for number, text in enumerate(TEXTS)], most=10)
    assert sorted(gap.count for gap in found) == [1, 2, 2]
    assert found[0].call_ids in {("c0", "c1"), ("c2", "c3")}


def test_the_order_of_questions_changes_nothing() -> None:
    questions = [Question(f"c{number}", text) for number, text in enumerate(TEXTS * 4)]
    expected = grouped(questions, most=10)
    random.Random(3).shuffle(questions)
    assert grouped(questions, most=10) == expected


def test_questions_without_a_telling_word_are_kept() -> None:
    assert sum(gap.count for gap in grouped([Question("a", "what"), Question("b", "")], most=5)) == 2
    assert grouped([], most=5) == ()
