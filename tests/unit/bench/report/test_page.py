"""The page needs nothing but itself, runs nothing, and shows what anybody said as text."""

import re
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest

from tests.fakes.bench_records import BREACHED, ENVIRONMENT, MET, invalid, record, summary, with_failures
from voicectl.bench.report.page import page_bytes
from voicectl.bench.run_record import TurnSample

LIMITS = [("v2v_p95<800ms", 0.95, 0.8)]
VOID = {"meta", "br", "hr", "img", "link", "input"}


class Checker(HTMLParser):
    """Collects tags, ids and references, and notices tags that do not match."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: Counter[str] = Counter()
        self.ids: Counter[str] = Counter()
        self.references: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        if tag not in VOID:
            self.open.append(tag)
        self._attributes(attrs)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self._attributes(attrs)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def _attributes(self, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name == "id":
                self.ids[value or ""] += 1
            if name in {"href", "src", "xlink:href", "action", "srcset", "data"}:
                self.references.add(value or "")
            assert not name.startswith("on")


@pytest.fixture(scope="module")
def page() -> str:
    return page_bytes(with_failures(record(16, 5)), summary(slos=(MET, BREACHED)), LIMITS).decode()


def checked(text: str) -> Checker:
    checker = Checker()
    checker.feed(text)
    checker.close()
    assert checker.open == []
    return checker


def test_page_refers_to_nothing_outside_itself(page: str) -> None:
    server_said = "http-refusal: 503"
    assert "http" not in page.replace(server_said, "").replace('http-equiv="Content-Security-Policy"', "")
    assert "//" not in page
    assert "@import" not in page
    checker = checked(page)
    assert all(reference.startswith("#") for reference in checker.references)
    assert {reference[1:] for reference in checker.references} <= checker.ids.keys()
    assert set(re.findall(r"url\(([^)]*)\)", page)) <= {f"#{name}" for name in checker.ids}


def test_policy_of_the_page_lets_nothing_run_or_load(page: str) -> None:
    assert "default-src 'none'; style-src 'unsafe-inline'" in page
    assert checked(page).tags["script"] == 0


def test_page_is_well_formed_and_its_ids_are_unique(page: str) -> None:
    checker = checked(page)
    assert [name for name, count in checker.ids.items() if count > 1] == []
    assert (checker.tags["svg"], checker.tags["figcaption"]) == (3, 3)
    for plot in re.findall(r"<svg.*?</svg>", page, flags=re.DOTALL):
        ElementTree.fromstring(plot)


def test_colours_of_plots_are_those_of_the_page(page: str) -> None:
    plots = "".join(re.findall(r"<svg.*?</svg>", page, flags=re.DOTALL))
    assert "var(--ink)" in plots
    assert "#000000" not in plots
    assert "prefers-color-scheme: dark" in page


def test_same_run_is_the_same_page(page: str) -> None:
    assert page_bytes(with_failures(record(16, 5)), summary(slos=(MET, BREACHED)), LIMITS).decode() == page


def test_header_has_verdict_load_and_environment(page: str) -> None:
    assert '<h1><span class="VALID">VALID</span>: short-faq, 12 calls a minute, poisson' in page
    assert "<dt>machine</dt><dd>bench-1: Some CPU @ 2 GHz, 2 cores, 8 GiB</dd>" in page
    assert "<dt>server stt</dt><dd>faster-whisper-tiny.en</dd>" in page


def test_failures_are_listed(page: str) -> None:
    assert "503 &lt;b&gt;busy&lt;/b&gt;" in page
    assert "question-4: no answer within 10.0 s" in page


def test_what_a_server_says_stays_text() -> None:
    hostile = "<script>alert(1)</script>"
    run = replace(record(4, 2), environment=replace(ENVIRONMENT, server={hostile: hostile}, private=False))
    text = page_bytes(run, invalid(summary(), hostile), [(f"$x$ {hostile}", 0.95, 0.8)]).decode()
    assert checked(text).tags["script"] == 0


def test_invalid_run_says_so_before_any_figure() -> None:
    text = page_bytes(record(4, 2), invalid(summary(slos=(MET,)), "it was busy")).decode()
    assert text.index("This run is no measurement") < text.index("it was busy") < text.index("<table")
    assert '<td class="met">' not in text


def test_run_without_a_single_call_has_a_page() -> None:
    empty = replace(summary(), distributions=(), proportions=(), wer=None, goodput_per_minute=None)
    text = page_bytes(replace(record(1, 1), calls=()), invalid(empty)).decode()
    assert checked(text).tags["svg"] == 0


def test_run_of_a_server_without_stages_has_its_other_plots() -> None:
    run = record(6, 1)
    bare = TurnSample(0, "q", "speech", "answered", 20.0, v2v_s=0.4)
    run = replace(run, calls=tuple(replace(call, turns=(bare,)) for call in run.calls))
    assert checked(page_bytes(run, summary()).decode()).tags["svg"] == 2


def test_long_list_of_failures_is_cut_and_says_so() -> None:
    run = record(300, 1)
    run = replace(run, calls=tuple(replace(call, end="lost", failure="reset: gone") for call in run.calls))
    assert "and 100 more" in page_bytes(run, summary()).decode()
