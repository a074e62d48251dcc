"""Reports of a made-up history, of nothing, and of parts of periods: plain words, the same bytes, no address."""

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import date

import pytest
from sqlalchemy import insert, update

from tests.fakes.call_history import UNTIL, History
from tests.fakes.records import DAY_S, NOW, MemoryRecords, a_call, said
from voicectl.core.records import TurnRow
from voicectl.governance.kpi.rate import Rate
from voicectl.governance.policy.load import load_policy
from voicectl.governance.report.cadence import AGENDAS, digest_of
from voicectl.governance.report.digest import Digest
from voicectl.governance.report.facts import Facts, read_facts
from voicectl.governance.report.lines import Lines, lines_of
from voicectl.governance.report.markdown import markdown, plain
from voicectl.governance.report.page import page
from voicectl.governance.report.period import Cadence, period_of
from voicectl.governance.report.plots import draw_plots, figure_of
from voicectl.governance.store.tables import calls, imports, scores

LINES = lines_of(load_policy().policy)


@pytest.fixture(scope="module")
def history() -> Iterator[MemoryRecords]:
    found = MemoryRecords()
    with found.write() as connection:
        History(weeks=3, a_day=12).write(connection)
    yield found
    found.close()


def facts_of(
    records: MemoryRecords, cadence: Cadence = "weekly", now: float = UNTIL + 3600, use_case: str | None = None
) -> Facts:
    with records.read() as connection:
        return read_facts(connection, period_of(cadence, last=None, now=now), use_case=use_case, lines=LINES)


def digest(records: MemoryRecords, cadence: Cadence = "weekly", now: float = UNTIL + 3600) -> Digest:
    return digest_of(facts_of(records, cadence, now), LINES)


@pytest.mark.parametrize("cadence", list(AGENDAS))
def test_every_digest_names_an_owner_for_every_section(history: MemoryRecords, cadence: Cadence) -> None:
    text = markdown(digest(history, cadence))
    found = digest(history, cadence)
    assert text.count("\n*For the ") == len(found.sections) == len(AGENDAS[cadence].parts)
    assert f"For the {found.owner_name}." in text


@pytest.mark.parametrize("cadence", list(AGENDAS))
def test_without_a_call_everything_is_unknown_and_nothing_holds(cadence: Cadence) -> None:
    empty = MemoryRecords()
    found = digest(empty, cadence)
    text = markdown(found)
    assert "No call was completed in this period" in text
    assert "Nothing is known that could lie beyond a bound." in text
    assert "| holds |" not in text
    assert " 0.0 %" not in text
    assert draw_plots(facts_of(empty, cadence), LINES) == {}
    assert "<svg" not in page(found, {})
    empty.close()


def test_the_page_needs_nothing_else_and_is_the_same_each_time(history: MemoryRecords) -> None:
    facts = facts_of(history)
    plots = draw_plots(facts, LINES)
    assert plots == draw_plots(facts, LINES)
    text = page(digest_of(facts, LINES), plots)
    addresses = set(re.findall(r"(?:https?:)?//[^\s\"'<>]+", text))
    assert addresses <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
    assert "<script" not in text
    assert text.count("<svg") == 5
    ids = re.findall(r' id="([^"]+)"', text)
    shared = {name for name in ids if ids.count(name) > 1 and re.fullmatch(r"[pmh][0-9a-f]{10}", name)}
    assert not shared


def test_without_lines_a_report_judges_nothing(history: MemoryRecords) -> None:
    facts = facts_of(history)
    assert "alert" not in markdown(digest_of(facts, Lines()))
    assert draw_plots(facts, Lines()).keys() == draw_plots(facts, LINES).keys()


def test_words_of_callers_stay_words(history: MemoryRecords) -> None:
    attack = "<script>alert(1)</script> | [x](http://e.example) `#` what is this"
    records = MemoryRecords()
    records.add(a_call())
    with records.write() as connection:
        row = {"call_id": "c1", "name": "knowledge_gap", "source": "rule", "label": "gap", "at": NOW}
        connection.execute(insert(scores).values(**row, explanation=attack))
    found = digest(records, now=NOW + 60)
    assert "<script>" not in page(found, {})
    assert r"\<script\>alert(1)\</script\> \| \[x\](http://e.example) \`\#\` what is this" in markdown(found)
    records.close()


def test_markdown_of_a_text_is_one_line() -> None:
    assert plain("a\n# b & c") == r"a \# b &amp; c"


def test_a_period_that_is_not_over_or_not_whole_says_so(history: MemoryRecords) -> None:
    with history.read() as connection:
        today = read_facts(connection, period_of("weekly", last=date(2026, 9, 4), now=UNTIL + 3600))
    assert any("not over yet" in note for note in digest_of(today, LINES).notes)
    assert any("Records begin only on 2026-08-14" in note for note in digest(history, "quarterly").notes)


def test_unscored_and_incomplete_calls_are_told_before_any_figure() -> None:
    records = MemoryRecords()
    records.add(a_call("c1", incomplete=True))
    records.add(a_call("c2", ended_at=None))
    notes = " ".join(digest(records, now=NOW + 60).notes)
    assert "1 of 1 calls have no score" in notes
    assert "1 calls miss events" in notes
    assert "1 calls have no end on record" in notes
    records.close()


def test_probes_are_in_no_report() -> None:
    customers, with_probes = MemoryRecords(), MemoryRecords()
    for records in (customers, with_probes):
        records.add(a_call("c1", resolved=True, score_state="scored"))
    broken = {"started_at": NOW - 6 * DAY_S, "resolved": False, "compliance_flagged": True, "probe": True}
    with_probes.add(a_call("p1", incomplete=True, judge_digest="j", **broken), *said("p1", ("a", "b"), v2v_s=9.0))
    with_probes.add(a_call("p2", ended_at=None, **broken))
    with_probes.add(a_call("p3", direction="outbound", **broken))
    with with_probes.write() as connection:
        finding = {"name": "no_disclosure", "label": "compliance", "source": "rule", "at": NOW}
        gap = {"name": "knowledge_gap", "label": "gap", "source": "judge", "at": NOW, "explanation": "what is this"}
        connection.execute(
            insert(scores), [{**finding, "call_id": "p1", "explanation": None}, {**gap, "call_id": "p1"}]
        )
    assert facts_of(with_probes, now=NOW + 60) == facts_of(customers, now=NOW + 60)
    for records in (customers, with_probes):
        records.close()


def test_a_judge_that_nobody_checked_is_called_no_evidence(history: MemoryRecords) -> None:
    records = MemoryRecords()
    records.add(a_call(resolved=True, resolved_by="judge", score_state="scored", judge_digest="j"))
    assert "Its answers are no evidence" in " ".join(digest(records, now=NOW + 60).notes)
    records.close()


def test_what_lies_beyond_its_line_is_passed_on() -> None:
    records = MemoryRecords()
    for number in range(40):
        held = number < 20
        records.add(a_call(f"c{number}", resolved=held, compliance_flagged=not held, score_state="scored"))
    found = digest(records, now=NOW + 60)
    assert found.escalated == (
        "faq (low): containment 50.0 % of 40, asked for ≥ 70.0 %",
        "faq (low): compliance flags 50.0 % of 40, asked for < 2.0 %",
    )
    with records.write() as connection:
        connection.execute(update(calls).values(resolved=True, compliance_flagged=False))
    assert digest(records, now=NOW + 60).escalated == ()
    records.close()


def test_reasons_come_with_calls_and_gaps_with_questions(history: MemoryRecords) -> None:
    facts = facts_of(history)
    assert facts.reasons[0].count >= facts.reasons[-1].count
    assert all(reason.call_ids for reason in facts.reasons)
    assert facts.gaps[0].count > 1
    assert facts.violations.counts == {"out_of_window_dial": 1}


def test_one_use_case_is_reported_alone(history: MemoryRecords) -> None:
    assert {name for name, _ in facts_of(history, use_case="faq").by_use_case} == {"faq"}


def test_without_an_import_of_complaints_no_rate_of_them_is_told() -> None:
    records = MemoryRecords()
    old = NOW - 9 * DAY_S
    records.add(a_call(escalated=True, tier="medium", started_at=old, answered_at=old, ended_at=old + 60))
    with records.read() as connection:
        facts = read_facts(connection, period_of("monthly", last=None, now=NOW))
    text = markdown(digest_of(facts, LINES))
    assert "| Escalation to complaint (after 7 days) | unknown |" in text
    assert "> No complaints were ever imported: what came of escalations is unknown." in text
    records.close()


def test_how_long_complaints_take_is_that_of_the_policy() -> None:
    lines = replace(LINES, maturities={"medium": 30 * DAY_S})
    records = MemoryRecords()
    old = NOW - 9 * DAY_S
    records.add(a_call(escalated=True, tier="medium", started_at=old, answered_at=old, ended_at=old + 60))
    imported = {"kind": "complaints", "sha256": "9", "source": "x", "num_rows": 0, "at": NOW - 60}
    with records.write() as connection:
        connection.execute(imports.insert(), [imported])
    period = period_of("monthly", last=None, now=NOW)
    with records.read() as connection:
        own = read_facts(connection, period, lines=lines)
        packaged = read_facts(connection, period, lines=LINES)
    assert (own.total.escalation_to_complaint, packaged.total.escalation_to_complaint) == (Rate(0, 0, 1), Rate(0, 1))
    assert "Escalation to complaint (after 30 days)" in markdown(digest_of(own, lines))
    records.close()


def test_satisfaction_is_compared_with_that_of_the_same_group() -> None:
    records = MemoryRecords()
    for week in (1, 2):
        for use_case, csat in (("faq", 4.0), ("order_status", 2.0 if week == 2 else 2.5)):
            at = NOW - (7 * week - 3) * DAY_S
            known = {"started_at": at, "answered_at": at, "ended_at": at + 60, "use_case": use_case}
            records.add(a_call(f"{use_case}{week}", csat=csat, **known))
    facts = facts_of(records, now=NOW)
    deltas = {name: one.csat_delta for (name, _), one in facts.by_use_case.items()}
    assert deltas == {"faq": 0.0, "order_status": 0.5}
    assert facts.total.csat_delta == 0.25
    assert [facts.by_day[day].csat_delta for day in facts.period.days if day in facts.by_day] == [0.25]
    with records.read() as connection:
        fixed = read_facts(connection, period_of("weekly", last=None, now=NOW), csat_baseline=3.0)
    assert {one.csat_delta for one in fixed.by_use_case.values()} == {1.0, -0.5}
    records.close()


def test_a_probe_in_another_tier_changes_no_line_and_adds_no_use_case() -> None:
    records = MemoryRecords()
    records.add(a_call(resolved=True))
    wrong = {"wer_substitutions": 1, "wer_deletions": 0, "wer_insertions": 0, "wer_words": 10}
    records.add(a_call("p", probe=True, use_case="account_changes", tier="medium"), TurnRow("p", 0, **wrong))
    facts = facts_of(records, now=NOW)
    assert facts.total.wer == 0.1
    assert list(facts.by_use_case) == [("faq", "low")]
    assert re.search(r"\| Containment \| .* ≥ 70.0 % \| holds \|", markdown(digest_of(facts, LINES)))
    records.close()


def test_a_mean_is_of_the_calls_that_have_the_amount() -> None:
    records = MemoryRecords()
    for number in range(5):
        records.add(a_call(f"c{number}", handle_s=None if number else 60.0))
    assert "| Handle time, mean | 60 s |  | 1 calls |" in markdown(digest(records, now=NOW + 60))
    records.close()


def test_lines_of_several_tiers_are_told_apart_without_colours(history: MemoryRecords) -> None:
    figure = figure_of("containment", facts_of(history), LINES)
    assert figure is not None
    gates = {line.get_label(): line.get_linestyle() for line in figure.axes[0].lines if "gate" in str(line.get_label())}
    assert list(gates) == ["gate 60%, tier medium", "gate 70%, tier low"]
    assert len(set(gates.values())) == 2


def test_tiers_are_told_after_use_cases_and_apart(history: MemoryRecords) -> None:
    facts = facts_of(history)
    document = digest_of(facts, LINES).facts
    assert [one["tier"] for one in document["by_tier"]] == ["low", "medium"]
    assert sum(one["calls"] for one in document["by_tier"]) == document["total"]["calls"]
    rows = re.findall(r"\| (\S.*?) \| (low|medium) \|", markdown(digest_of(facts, LINES)))
    assert rows[-2:] == [("all of the tier", "low"), ("all of the tier", "medium")]


def test_a_digest_tells_cost_a_call_sentiment_and_turns_within_the_bar(history: MemoryRecords) -> None:
    found = markdown(digest(history, "monthly"))
    assert "| Use case | Calls | Cost a call | Of | Cost a resolved call | Of |" in found
    assert re.search(r"\| Sentiment, mean \(-1 to 1\) \| [+-]0\.\d\d \|  \| \d+ calls \|", found)
    assert re.search(r"\| Turns answered within 3.5 s \| \d+\.\d % \|", found)
    assert "Turns answered within" not in markdown(digest_of(facts_of(history), Lines()))
