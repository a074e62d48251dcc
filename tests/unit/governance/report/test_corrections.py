"""Only what rests on the judge's word is corrected for its errors, and only by a judge that is evidence."""

import pytest

from tests.fakes.records import NOW, MemoryRecords, a_call
from voicectl.governance.policy.load import load_policy
from voicectl.governance.report.cadence import digest_of
from voicectl.governance.report.corrections import Figure, corrected, judged
from voicectl.governance.report.digest import Digest
from voicectl.governance.report.facts import Facts, read_facts
from voicectl.governance.report.lines import lines_of
from voicectl.governance.report.markdown import markdown
from voicectl.governance.report.period import period_of
from voicectl.governance.store.tables import scores

LINES = lines_of(load_policy().policy)
FIGURES: tuple[Figure, ...] = ("resolution", "containment", "compliance_flags")


def told(*, num_labels: int = 40, wrong: int = 0) -> tuple[Facts, Digest]:
    """Return the facts of 100 calls: 60 the judge calls resolved, 20 not, 20 were transferred. Every fourth is flagged.

    Humans labelled so many calls of either kind, and of each kind the judge had so many wrong.
    """
    records = MemoryRecords()
    for number in range(100):
        known = {"resolved": number < 60, "transfer_attempted": number >= 80, "compliance_flagged": number % 4 == 0}
        judge = {"resolved_by": "judge", "judge_digest": "j", "score_state": "scored"}
        records.add(a_call(f"c{number}", **known, **judge))
    rows = []
    for kind in (0, 1):
        for number in range(num_labels):
            call_id, answer = f"label{kind}-{number}", kind if number >= wrong else 1 - kind
            records.add(a_call(call_id, probe=True))
            for name in ("resolved", "compliance_flagged"):
                row = {"call_id": call_id, "name": name, "at": NOW - 9}
                rows.append({**row, "value": float(kind), "source": "human", "judge_digest": None})
                rows.append({**row, "value": float(answer), "source": "judge", "judge_digest": "j"})
    with records.write() as connection:
        connection.execute(scores.insert(), rows)
    with records.read() as connection:
        facts = read_facts(connection, period_of("weekly", last=None, now=NOW), lines=LINES)
    records.close()
    return facts, digest_of(facts, LINES)


def test_a_transfer_does_not_rest_on_the_judge() -> None:
    facts, _ = told()
    assert [judged(facts.total, figure).of for figure in FIGURES] == [100, 80, 100]
    assert (facts.total.containment.num, judged(facts.total, "containment").num) == (60, 60)


@pytest.mark.parametrize("figure", FIGURES)
def test_a_judge_without_errors_changes_nothing(figure: Figure) -> None:
    facts, _ = told()
    true = corrected(facts, figure)
    assert true is not None
    assert true.value == pytest.approx(getattr(facts.total, figure).value)
    assert true.low < true.value < true.high


def test_containment_is_corrected_among_the_calls_that_the_judge_decided() -> None:
    facts, found = told(wrong=4)
    true = corrected(facts, "containment")
    # Of 80 calls 75 % look resolved; with 10 % of errors either way, (0.75 - 0.1) / 0.8 are. No transfer is.
    assert true is not None
    assert true.value == pytest.approx(0.8 * (0.75 - 0.1) / 0.8)
    text = markdown(found)
    assert "80 calls rest on the judge's word, which says that 75.0 % of them were contained." in text
    assert "Corrected for its errors, 65.0 % (" in text
    assert "which says that 60.0 % of them were resolved." in text
    assert found.facts["corrected"]["containment"]["value"] == pytest.approx(0.65)


def test_flags_are_corrected_too() -> None:
    facts, found = told(wrong=4)
    true = corrected(facts, "compliance_flags")
    assert true is not None
    assert true.value == pytest.approx((0.25 - 0.1) / 0.8)
    assert "100 calls rest on the judge's word, which says that 25.0 % of them were flagged." in markdown(found)


def test_by_a_judge_that_is_no_evidence_nothing_is_corrected_and_it_is_said() -> None:
    facts, found = told(num_labels=5)
    assert [corrected(facts, figure) for figure in FIGURES] == [None, None, None]
    notes = [note for note in found.notes if "Its answers are no evidence" in note]
    assert [note.split(":")[0].split(".")[0] for note in notes] == [
        "In 100 calls it rests on the judge whether they were resolved",
        "In 100 calls it rests on the judge whether they were flagged",
    ]
    assert "Corrected for its errors" not in markdown(found)
