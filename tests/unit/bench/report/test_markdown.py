"""Markdown shows the same rows as the terminal, and what a server says stays text."""

from dataclasses import replace

from tests.fakes.bench_records import BREACHED, ENVIRONMENT, MET, invalid, record, summary
from voicectl.bench.report.markdown import markdown_text


def test_verdict_comes_first_and_thresholds_before_figures() -> None:
    text = markdown_text(record(), summary(slos=(MET, BREACHED)))
    assert text.startswith("## VALID: short-faq, 12 calls a minute")
    assert text.index("| v2v_p95&lt;800ms | BREACHED |") < text.index("| voice to voice | P50 | 600 | 570 – 630 |")


def test_invalid_run_says_why_before_any_figure() -> None:
    text = markdown_text(record(), invalid(summary(), "it was busy"))
    assert text.startswith("## INVALID")
    assert text.index("- it was busy") < text.index("| latency |")


def test_every_row_of_a_table_has_its_columns() -> None:
    run = replace(record(), environment=replace(ENVIRONMENT, server={"model": "a|b\nc <i> `d`"}))
    rows = [line for line in markdown_text(run, summary()).splitlines() if line.startswith("| server model")]
    assert rows == ["| server model | a\\|b c &lt;i> \\`d\\` |"]
