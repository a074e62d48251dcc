"""A browser prints every column of a report."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.fakes.call_history import UNTIL, History
from tests.fakes.records import MemoryRecords
from voicectl.governance.policy.load import load_policy
from voicectl.governance.report.cadence import digest_of
from voicectl.governance.report.facts import read_facts
from voicectl.governance.report.lines import lines_of
from voicectl.governance.report.page import page
from voicectl.governance.report.period import period_of
from voicectl.governance.report.plots import draw_plots

pytestmark = pytest.mark.integration


def test_the_standing_of_each_use_case_is_printed(tmp_path: Path) -> None:
    browser, reader = shutil.which("chromium"), shutil.which("pdftotext")
    if browser is None or reader is None:
        pytest.skip("chromium or pdftotext (poppler-utils) is not installed")
    records, lines = MemoryRecords(), lines_of(load_policy().policy)
    with records.write() as connection:
        History(weeks=3, a_day=12).write(connection)
    with records.read() as connection:
        facts = read_facts(connection, period_of("quarterly", last=None, now=UNTIL + 3600))
    records.close()
    (tmp_path / "page.html").write_text(page(digest_of(facts, lines), draw_plots(facts, lines)))
    flags = ("--headless", "--no-sandbox", "--disable-gpu", "--no-pdf-header-footer", f"--user-data-dir={tmp_path}")
    printed, page_url = tmp_path / "page.pdf", (tmp_path / "page.html").as_uri()
    subprocess.run([browser, *flags, f"--print-to-pdf={printed}", page_url], check=True, timeout=90)
    text = subprocess.run([reader, "-layout", printed, "-"], check=True, timeout=60, capture_output=True, text=True)
    rows = [line.split() for line in text.stdout.splitlines()]
    for use_case, tier in facts.by_use_case:
        row = next(row for row in rows if row[:2] == [use_case, tier])
        assert row[-2] == "s", "v2v P90 comes before the last column"
        assert row[-1] in ("holds", "BREACHED", "unknown")
