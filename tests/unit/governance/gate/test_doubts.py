"""Evidence is of what the service runs, and of a clock that goes on, or it is not believed."""

from dataclasses import replace

import pytest

from tests.fakes.gate_case import NOW, USE_CASES, GateCase, digest
from voicectl.governance.gate.doubts import doubts
from voicectl.governance.gate.evidence import Evidence
from voicectl.governance.gate.ledger import Audited

RUNS = Audited(newest_at=NOW, config=digest("c"), model=digest("a"))


@pytest.fixture(scope="module")
def evidence() -> Evidence:
    return GateCase().evidence()


def test_evidence_of_what_runs_leaves_no_doubt(evidence: Evidence) -> None:
    assert doubts(RUNS, evidence, NOW) == ()
    assert doubts(Audited(), evidence, NOW) == (), "what the log never told of is not compared"
    assert doubts(RUNS, None, NOW) == ()


@pytest.mark.parametrize("name", ["configuration", "model"])
def test_evidence_of_another_setup_than_runs_is_not_believed(name: str, evidence: Evidence) -> None:
    audited = replace(RUNS, **{"configuration": {"config": digest("7")}, "model": {"model": digest("7")}}[name])
    (reason,) = doubts(audited, evidence, NOW)
    assert f"another {name} than" in reason
    assert all(use_case in reason for use_case in USE_CASES)
    verdict = GateCase().verdict(doubts=(reason,))
    assert (verdict.exit_code, verdict.unsound) == (22, (reason,))


def test_a_clock_that_was_set_back_is_noticed_beyond_a_minute(evidence: Evidence) -> None:
    assert doubts(replace(RUNS, newest_at=NOW + 59), evidence, NOW) == ()
    (reason,) = doubts(replace(RUNS, newest_at=NOW + 3600), evidence, NOW)
    assert "3600 s behind the newest entry" in reason
