"""Somebody vouches for every requirement, with a date that has come, for every use case; every byte counts."""

import datetime as dt
import os
from pathlib import Path

import pytest

from voicectl.governance.gate.attestations import read_attestations, requirements
from voicectl.governance.policy.errors import EvidenceUnfit
from voicectl.governance.policy.load import load_policy

POLICY = load_policy().policy
TODAY = dt.date(2026, 11, 20)
HEAD = "apiVersion: voicectl/v1\nkind: GateEvidence\nauthor: Somebody\nitems:\n"
ITEM = "- {name: rollback_plan, owner: Owner, date: 2026-11-19%s}\n"


def held(path: Path, *items: str) -> tuple[bool, str]:
    path.write_text(HEAD + "".join(ITEM % item for item in items))
    found = requirements(POLICY, "medium", ("account_changes", "faq"), read_attestations(path, POLICY), TODAY)
    one = next(requirement for requirement in found if requirement.name == "rollback_plan")
    return one.held, one.detail


@pytest.mark.parametrize(
    ("items", "is_held"),
    [
        ([""], True),
        ([", tier: medium"], True),
        ([", tier: high"], False),
        ([", use_cases: [faq]"], False),
        ([", use_cases: [faq]", ", use_cases: [account_changes]"], True),
        ([", expires: 2026-11-19"], False),
        ([], False),
    ],
)
def test_it_holds_only_for_what_is_vouched_for(items: list[str], is_held: bool, tmp_path: Path) -> None:
    if not items:
        assert not any(
            one.held for one in requirements(POLICY, "low", ("faq",), read_attestations(None, POLICY), TODAY)
        )
        return
    assert held(tmp_path / "evidence.yaml", *items)[0] is is_held


def test_a_date_in_the_future_does_not_count(tmp_path: Path) -> None:
    path = tmp_path / "evidence.yaml"
    path.write_text(HEAD + "- {name: rollback_plan, owner: Owner, date: 2026-11-21}\n")
    found = requirements(POLICY, "low", ("faq",), read_attestations(path, POLICY), TODAY)
    assert "future" in next(one.detail for one in found if one.name == "rollback_plan")


@pytest.mark.parametrize(
    ("item", "said"),
    [
        ("- {name: rolback_plan, owner: O, date: 2026-11-19}", ":5: items.0.name"),
        ("- {name: rollback_plan, date: 2026-11-19}", "owner: required"),
        ("- {name: rollback_plan, owner: O, date: soon}", "no date"),
        ("- {name: rollback_plan, owner: O, date: 2026-11-19, file: none.pdf}", "none.pdf"),
    ],
)
def test_bad_evidence_is_refused_with_22(item: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "evidence.yaml"
    path.write_text(HEAD + item + "\n")
    with pytest.raises(EvidenceUnfit) as refused:
        read_attestations(path, POLICY)
    assert said in refused.value.message and refused.value.exit_code == 22


def test_the_digest_covers_the_documents(tmp_path: Path) -> None:
    path, document = tmp_path / "evidence.yaml", tmp_path / "plan.txt"
    document.write_text("roll back")
    path.write_text(HEAD + ITEM % ", file: plan.txt")
    before = read_attestations(path, POLICY).digest
    document.write_text("roll bacK")
    assert read_attestations(path, POLICY).digest != before


@pytest.mark.timeout(10)
@pytest.mark.parametrize("name", ["/dev/zero", "/dev/null", "pipe", "."])
def test_a_document_is_a_regular_file(name: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    path = tmp_path / "evidence.yaml"
    path.write_text(HEAD + ITEM % f", file: {name}")
    with pytest.raises(EvidenceUnfit, match="no regular file"):
        read_attestations(path, POLICY)


@pytest.mark.parametrize("fields", ['owner: "Ol\\x01ga"', 'owner: O, note: "\\e[31m"', 'owner: O, file: "a\\x01"'])
def test_words_with_control_characters_are_refused_with_their_line(fields: str, tmp_path: Path) -> None:
    path = tmp_path / "evidence.yaml"
    path.write_text(HEAD + f"- {{name: rollback_plan, {fields}, date: 2026-11-19}}\n")
    with pytest.raises(EvidenceUnfit, match=r"evidence.yaml:5: items.0.\w+: U\+00"):
        read_attestations(path, POLICY)
