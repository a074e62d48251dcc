"""A page keeps its figures whole, and its lines apart, on paper and on dark screens."""

import pytest

from voicectl.governance.report.digest import Digest, Section, Table
from voicectl.governance.report.page import page, unbroken


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("60.0 % (70.0 %)", "60.0~%~(70.0~%)"),
        ("> 95.0 %", ">~95.0~%"),
        ("< 3.50 s", "<~3.50~s"),
        ("58.1 % to 62.0 %", "58.1~%~to~62.0~%"),
        ("1191 (+28 unknown)", "1191~(+28~unknown)"),
        ("3 stops later", "3 stops later"),
        ("call-1, call-2", "call-1, call-2"),
    ],
)
def test_no_line_ends_inside_a_figure(text: str, whole: str) -> None:
    assert unbroken(text) == whole.replace("~", "\N{NO-BREAK SPACE}")


def test_cells_of_a_page_are_unbroken_and_stay_text() -> None:
    table = Table(("A", "B"), (("60.0 % (70.0 %)", "<b> 5 s"),))
    section = Section("S", "quality_reviewer", tables=(table,))
    text = page(Digest("T", "t", "quality_reviewer", (), (), "", (section,)), {})
    assert "<td>60.0\N{NO-BREAK SPACE}%\N{NO-BREAK SPACE}(70.0\N{NO-BREAK SPACE}%)</td>" in text
    assert "<td>&lt;b&gt;\N{NO-BREAK SPACE}5\N{NO-BREAK SPACE}s</td>" in text
