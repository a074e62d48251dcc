"""The gate with its real files: two people sign, a tier opens, and whatever is changed in between keeps it closed."""

import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from tests.fakes.gate_case import NOW, GateCase, digest, quiet_policy, write_rows
from tests.fakes.postgres import postgres
from tests.fakes.reviewers import Panel, panel
from voicectl.core.errors import VoicectlError
from voicectl.governance.audit.log import AuditChainBroken, AuditLog
from voicectl.governance.audit.verify import entries
from voicectl.governance.gate.collect import collect
from voicectl.governance.gate.desk import Desk
from voicectl.governance.gate.ledger import Ledger
from voicectl.governance.gate.outputs import document, to_markdown
from voicectl.governance.policy.load import PACKAGED, load_policy
from voicectl.governance.rollout.load import files_in_force
from voicectl.governance.store.imports import import_file
from voicectl.governance.store.location import PostgresServer, SqliteFile
from voicectl.governance.store.store import open_store
from voicectl.governance.store.tables import calls, violations

pytestmark = pytest.mark.integration

ITEMS = (*load_policy().policy.checklist[:-1], "warm_transfer_path_verified")


class Case:
    """A desk in a folder, with calls that deserve a promotion, and the people who may sign."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.people: Panel = panel(folder)
        self.place = SqliteFile(folder / "records.db")
        with open_store(self.place) as store, store.write() as connection:
            write_rows(connection, GateCase())
        evidence = folder / "evidence.yaml"
        evidence.write_text(
            "apiVersion: voicectl/v1\nkind: GateEvidence\nauthor: The Author\nitems:\n"
            + "".join(f"- {{name: {name}, owner: Owner, date: 2026-01-01}}\n" for name in ITEMS)
        )
        (folder / "policy.yaml").write_bytes(PACKAGED.read_bytes())
        # Calls of ten days are there already, and the log begins now.
        AuditLog(folder / "audit", now=lambda: NOW).begin("a test")
        self.desk = Desk(
            policy=load_policy(folder / "policy.yaml"),
            folder=folder / "gate",
            ledger=Ledger(AuditLog(folder / "audit", now=lambda: NOW), folder / "audit-key.pem"),
            open_store=lambda: open_store(self.place, create=False),
            reviewers_file=self.people.reviewers.path,
            evidence_file=evidence,
            now=lambda: NOW,
            in_force=lambda: files_in_force(folder / "policy.yaml", self.people.reviewers.path),
        )

    def sign(self, *who: str) -> None:
        roles = {"one": "voice_ai_owner", "two": "compliance_officer"}
        for name in who:
            self.desk.sign("medium", (), reviewer=f"Reviewer {name}", role=roles[name], key=self.people.keys[name])

    def change_a_row(self) -> None:
        with open_store(self.place) as store, store.write() as connection:
            connection.execute(update(calls).where(calls.c.call_id == "call-1-00100").values(answered_at=None))


class LateLedger(Ledger):
    """A ledger whose checkpoints take so long that something else happens first."""

    def __init__(self, audit: AuditLog, key: Path, before: Callable[[], object]) -> None:
        super().__init__(audit, key)
        object.__setattr__(self, "before", before)

    def new_checkpoint(self) -> str:
        self.before()  # type: ignore[attr-defined]
        return super().new_checkpoint()


@pytest.fixture
def case(tmp_path: Path) -> Case:
    return Case(tmp_path)


def exit_code(case: Case, desk: Desk | None = None) -> int:
    return (desk or case.desk).check("medium").exit_code


def test_two_sign_the_tier_opens_and_a_demotion_closes_it(case: Case) -> None:
    assert exit_code(case) == 23
    case.sign("one")
    assert exit_code(case) == 23
    case.sign("two")
    case.desk.promote("medium", by="operator")
    assert case.desk.enforcement().is_open("account_changes")
    case.desk.demote(["account_changes"], by="operator", reason="a test")
    assert not case.desk.enforcement().is_open("account_changes")
    assert case.desk.enforcement().is_open("appointment_scheduling")


def lax_policy(case: Case) -> Path:
    path = case.folder / "lax.yaml"
    path.write_bytes(PACKAGED.read_bytes().replace(b"gte: 0.70, min_n: 200", b"gte: 0.41, min_n: 1"))
    return path


def test_a_draft_is_checked_but_neither_signed_nor_promoted_by(case: Case) -> None:
    case.sign("one", "two")
    draft = replace(case.desk, policy=load_policy(lax_policy(case)))
    verdict = draft.check("medium")
    assert verdict.drafts == ("policy",) and case.desk.check("medium").drafts == ()
    assert "a draft" in to_markdown(verdict, draft.policy)
    found = document(verdict, draft.policy)
    assert (found["policy"]["in_force"], found["reviewers"]["in_force"]) == (False, True)
    with pytest.raises(VoicectlError) as refused:
        draft.sign("medium", (), reviewer="Reviewer one", role="voice_ai_owner", key=case.people.keys["one"])
    assert refused.value.exit_code == 24
    with pytest.raises(VoicectlError) as refused:
        draft.promote("medium", by="operator")
    assert refused.value.exit_code == 24


def test_other_reviewers_than_the_services_open_nothing(case: Case) -> None:
    own = case.folder / "own.yaml"
    own.write_text(case.people.reviewers.path.read_text() + "\n")
    desk = replace(case.desk, reviewers_file=own)
    assert desk.check("medium").drafts == ("reviewers",)
    for refusing in (
        lambda: desk.sign("medium", (), reviewer="Reviewer one", role="voice_ai_owner", key=case.people.keys["one"]),
        lambda: desk.promote("medium", by="operator"),
    ):
        with pytest.raises(VoicectlError) as refused:
            refusing()
        assert refused.value.exit_code == 23


def test_a_promotion_names_its_policy_in_the_state_and_in_the_audit_log(case: Case) -> None:
    case.sign("one", "two")
    case.desk.promote("medium", by="operator\x1b[31m")
    (change,) = case.desk.state().changes
    assert (change.policy_digest, change.by) == (case.desk.policy.sha256, "operator\N{REPLACEMENT CHARACTER}[31m")
    told = [entry for entry in entries(case.folder / "audit") if entry.kind == "tier_changed"]
    assert {entry.body["details"]["policy_digest"] for entry in told} == {case.desk.policy.sha256}


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"reviewer": "Nobody"}, 23),
        ({"role": "compliance_officer"}, 23),
        ({"key": Path("none.pem")}, 2),
        ({"reviewer": "Reviewer two", "role": "compliance_officer"}, 23),
    ],
)
def test_who_may_not_sign_takes_nobodys_sign_off_away(changes: dict[str, Any], status: int, case: Case) -> None:
    case.sign("two")
    kept = {path.name: path.read_bytes() for path in (case.desk.folder / "medium").iterdir()}
    asked = {"reviewer": "Reviewer one", "role": "voice_ai_owner", "key": case.people.keys["one"], **changes}
    with pytest.raises(VoicectlError) as refused:
        case.desk.sign("medium", (), renew=True, **asked)
    assert refused.value.exit_code == status
    assert {path.name: path.read_bytes() for path in (case.desk.folder / "medium").iterdir()} == kept


def test_who_began_to_sign_first_is_not_overruled_by_who_began_at_the_same_time(case: Case) -> None:
    def two_signs_first() -> float:
        if not (case.desk.folder / "medium").exists() and waiting:
            waiting.pop()
            case.sign("two")
        return NOW

    waiting = [True]
    slow = replace(case.desk, ledger=LateLedger(case.desk.ledger.audit, case.desk.ledger.key, two_signs_first))
    with pytest.raises(VoicectlError, match="meanwhile"):
        slow.sign("medium", (), reviewer="Reviewer one", role="voice_ai_owner", key=case.people.keys["one"])
    case.sign("one")
    assert exit_code(case) == 0


def test_a_clock_that_was_turned_back_opens_nothing_and_keeps_nothing_open(case: Case) -> None:
    case.sign("one", "two")
    later = replace(case.desk, now=lambda: NOW + 3600)
    later.demote(["faq"], by="operator", reason="an hour ahead")
    for refusing in (
        lambda: case.desk.check("medium"),
        lambda: case.sign("one"),
        lambda: case.desk.promote("medium", by="operator"),
    ):
        with pytest.raises(VoicectlError, match=r"2027-01-15 08:00:00 UTC.*2027-01-15 09:00:00 UTC") as refused:
            refusing()
        assert refused.value.exit_code == 22
    state = case.desk.demote(["order_status"], by="operator", reason="the clock is wrong")
    assert [change.at for change in state.changes] == [NOW + 3600, NOW + 3600]
    assert replace(case.desk, now=lambda: NOW + 3550).check("medium").decision != "promote"


def test_a_promotion_is_never_dated_before_the_change_it_follows(case: Case) -> None:
    replace(case.desk, now=lambda: NOW + 30).demote(
        ["loan_status"], by="operator", reason="a clock half a minute ahead"
    )
    case.sign("one", "two")
    case.desk.promote("medium", by="operator")
    assert [change.at for change in case.desk.state().changes] == [NOW + 30, NOW + 30]


def test_demoting_one_use_case_forgives_no_other_and_keeps_its_evidence(case: Case) -> None:
    with open_store(case.place) as store, store.write() as connection:
        row = {"kind": "missing_consent", "use_case": "faq", "at": NOW - 86_400}
        connection.execute(violations.insert(), [row])
    assert exit_code(case) == 26
    before = case.desk.check("medium").evidence
    case.desk.demote(["business_hours"], by="operator", reason="a test")
    verdict = case.desk.check("medium")
    assert (verdict.exit_code, verdict.closed_below) == (26, ("business_hours",))
    assert before is not None and verdict.evidence is not None
    kept = [found.use_cases[:-1] for found in (before, verdict.evidence)]
    assert kept[0] == kept[1]


def test_a_sign_off_is_used_once(case: Case) -> None:
    case.sign("one", "two")
    kept = {path: path.read_bytes() for path in (case.desk.folder / "medium").iterdir()}
    case.desk.promote("medium", by="operator")
    case.desk.demote(["account_changes"], by="operator", reason="a test")
    for path, content in kept.items():
        path.write_bytes(content)
    with pytest.raises(VoicectlError) as refused:
        case.desk.promote("medium", by="operator")
    assert refused.value.exit_code == 23


@pytest.mark.parametrize("what", ["row", "policy", "evidence", "reviewers", "signoff", "proposal", "time"])
def test_whatever_changes_after_signing_keeps_it_closed(what: str, case: Case) -> None:
    case.sign("one", "two")
    assert exit_code(case) == 0
    desk, folder = case.desk, case.desk.folder / "medium"
    match what:
        case "row":
            case.change_a_row()
        case "policy":
            path = case.folder / "policy.yaml"
            path.write_bytes(path.read_bytes().replace(b"# voicectl", b"# voicectI", 1))
            desk = replace(desk, policy=load_policy(path))
        case "evidence":
            path = case.folder / "evidence.yaml"
            path.write_text(path.read_text().replace("owner: Owner", "owner: Other", 1))
        case "reviewers":
            path = case.people.reviewers.path
            path.write_text(path.read_text() + "\n")
        case "signoff":
            path = next(folder.glob("*.dsse.json"))
            path.write_bytes(path.read_bytes().replace(b"a", b"b", 1))
        case "proposal":
            path = folder / "decision.json"
            path.write_bytes(path.read_bytes().replace(b'"as_of":1800000000.0', b'"as_of":1799999999.0', 1))
        case "time":
            desk = replace(desk, now=lambda: NOW + 14 * 86_400)
    assert exit_code(case, desk) in (22, 23)
    with pytest.raises(VoicectlError):
        desk.promote("medium", by="operator")
    assert not desk.enforcement().is_open("account_changes")


def test_a_changed_audit_log_stops_with_25(case: Case) -> None:
    case.sign("one", "two")
    path = next((case.folder / "audit").glob("*.jsonl"))
    path.write_bytes(path.read_bytes().replace(b"voice_ai_owner", b"voice_ai_ownes", 1))
    assert exit_code(case) == 25


def breaks(case: Case) -> list[str]:
    with open_store(case.place) as store, store.read() as connection:
        return [str(row.detail) for row in connection.execute(select(violations))]


def test_a_broken_log_stays_a_zero_tolerance_event_when_a_new_one_is_begun(case: Case) -> None:
    path = next((case.folder / "audit").glob("*.jsonl"))
    path.write_bytes(path.read_bytes().replace(b"a test", b"a lest", 1))
    assert exit_code(case) == 25
    assert exit_code(case) == 26, "it has happened, whatever becomes of the log"
    (detail,) = breaks(case)
    assert "does not have its hash" in detail
    path.parent.rename(case.folder / "aside")
    AuditLog(case.folder / "audit", now=lambda: NOW).begin("the old one was changed")
    assert exit_code(case) == 26
    assert len(breaks(case)) == 1


def test_a_violation_that_people_report_stops_it(case: Case) -> None:
    case.sign("one", "two")
    path = case.folder / "violations.csv"
    path.write_text(f"kind,at,use_case\npan_in_log,{NOW - 3600:.0f},faq\n")
    with open_store(case.place) as store:
        import_file(store, "violations", path, now=NOW)
    assert exit_code(case) == 26


def test_a_log_that_was_removed_is_missed(case: Case) -> None:
    case.sign("one", "two")
    shutil.rmtree(case.folder / "audit")
    verdict = case.desk.check("medium")
    assert verdict.exit_code == 25
    assert "voicectl audit init" in str(verdict.audit_problem)
    assert not (case.folder / "audit").exists(), "the gate begins no log in the place of one that is gone"


def test_a_log_that_began_by_itself_after_the_calls_is_not_believed(case: Case) -> None:
    shutil.rmtree(case.folder / "audit")
    case.desk.demote(["account_changes"], by="operator", reason="this writes an entry, and so begins a log")
    verdict = case.desk.check("medium")
    assert verdict.exit_code == 25
    assert "after" in str(verdict.audit_problem)


def test_a_log_that_began_before_the_calls_needs_no_reason(case: Case) -> None:
    shutil.rmtree(case.folder / "audit")
    AuditLog(case.folder / "audit", now=lambda: NOW - 30 * 86_400).append(
        "redaction_applied", {"call_id": "x", "counts": {}}
    )
    assert exit_code(case) == 23


def test_a_log_that_was_cut_is_not_signed_for_a_decision(case: Case) -> None:
    case.sign("one")
    path = next((case.folder / "audit").glob("*.jsonl"))
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:1]))
    with pytest.raises(VoicectlError) as refused:
        case.desk.sign("medium", (), reviewer="Reviewer one", role="voice_ai_owner", key=case.people.keys["one"])
    assert refused.value.exit_code == 25
    with pytest.raises(AuditChainBroken):
        case.desk.ledger.new_checkpoint()


@pytest.mark.parametrize("what", ["configuration", "model", "clock"])
def test_what_the_log_tells_against_the_evidence_keeps_it_closed(what: str, case: Case) -> None:
    case.sign("one", "two")
    assert exit_code(case) == 0
    desk, audit = case.desk, case.desk.ledger.audit
    match what:
        case "configuration":
            audit.append("configuration_changed", {"profile": "p", "digest": digest("7"), "prompt_digest": digest("b")})
        case "model":
            audit.append("model_changed", {"digest": digest("7"), "models": {}})
        case "clock":
            desk = replace(desk, now=lambda: NOW - 120)
    assert exit_code(case, desk) == 22
    with pytest.raises(VoicectlError) as refused:
        desk.promote("medium", by="operator")
    assert refused.value.exit_code == 22
    with pytest.raises(VoicectlError) as refused:
        desk.sign("medium", (), reviewer="Reviewer one", role="voice_ai_owner", key=case.people.keys["one"])
    assert refused.value.exit_code == 22


def test_a_changed_rollout_state_opens_nothing(case: Case) -> None:
    case.sign("one", "two")
    case.desk.promote("medium", by="operator")
    path = case.desk.state_file
    path.write_bytes(path.read_bytes().replace(b"account_changes", b"loan_status", 1))
    assert not case.desk.enforcement().is_open("loan_status")
    assert exit_code(case) == 25
    case.desk.demote(["faq"], by="operator", reason="a demotion needs nothing, and opens nothing")
    assert not case.desk.enforcement().is_open("appointment_scheduling")


def test_nobody_signs_while_something_else_is_missing(case: Case) -> None:
    desk = replace(case.desk, evidence_file=None)
    with pytest.raises(VoicectlError) as refused:
        desk.sign("medium", (), reviewer="Reviewer one", role="voice_ai_owner", key=case.people.keys["one"])
    assert refused.value.exit_code == 22


def test_a_key_of_ssh_signs_too(case: Case) -> None:
    key = case.folder / "ecdsa"
    subprocess.run(["ssh-keygen", "-q", "-t", "ecdsa", "-N", "", "-f", str(key)], check=True, timeout=30)
    public = key.with_name("ecdsa.pub").read_text().strip()
    path = case.people.reviewers.path
    lines = [line for line in path.read_text().splitlines() if "Reviewer one" not in line]
    path.write_text("\n".join([*lines, f"- {{name: Reviewer one, roles: [voice_ai_owner], key: {public}}}", ""]))
    case.people.keys["one"] = key
    case.sign("one", "two")
    assert exit_code(case) == 0
    envelope = case.desk.folder / "medium" / "voice_ai_owner.dsse.json"
    content = envelope.read_bytes()
    at = content.index(b'"sig":"') + 120
    envelope.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
    assert exit_code(case) == 23


def test_postgresql_gives_the_same_evidence() -> None:
    here = GateCase(days=3)
    with postgres() as server:
        place = PostgresServer(server.url, server.password_file)
        with open_store(place) as store:
            with store.write() as connection:
                write_rows(connection, GateCase(days=3))
            with store.read() as connection:
                there = collect(connection, quiet_policy(), "low", as_of=NOW, now=NOW, entered={})
    found = here.evidence()
    assert replace(there, rows_digest="") == replace(found, rows_digest="")
