"""The gate with its real files: two people sign, a tier opens, and whatever is changed in between keeps it closed."""

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import update

from tests.fakes.gate_case import NOW, GateCase, quiet_policy, write_rows
from tests.fakes.postgres import postgres
from tests.fakes.reviewers import Panel, panel
from voicectl.core.errors import VoicectlError
from voicectl.governance.audit.log import AuditLog
from voicectl.governance.gate.collect import collect
from voicectl.governance.gate.desk import Desk
from voicectl.governance.gate.ledger import Ledger
from voicectl.governance.policy.load import PACKAGED, load_policy
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
        self.desk = Desk(
            policy=load_policy(folder / "policy.yaml"),
            folder=folder / "gate",
            ledger=Ledger(AuditLog(folder / "audit", now=lambda: NOW), folder / "audit-key.pem"),
            open_store=lambda: open_store(self.place, create=False),
            reviewers_file=self.people.reviewers.path,
            evidence_file=evidence,
            now=lambda: NOW,
        )

    def sign(self, *who: str) -> None:
        roles = {"one": "voice_ai_owner", "two": "compliance_officer"}
        for name in who:
            self.desk.sign("medium", (), reviewer=f"Reviewer {name}", role=roles[name], key=self.people.keys[name])

    def change_a_row(self) -> None:
        with open_store(self.place) as store, store.write() as connection:
            connection.execute(update(calls).where(calls.c.call_id == "call-1-00100").values(answered_at=None))


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
