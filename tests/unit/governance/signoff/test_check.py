"""Two different people of the required roles, not the author, not expired, and for exactly this decision."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.reviewers import BINDINGS, NOW, panel, statement
from voicectl.governance.gate.verdict import SignOffState
from voicectl.governance.policy.load import load_policy
from voicectl.governance.signoff.check import check_signoffs
from voicectl.governance.signoff.envelope import SignOff, open_sealed, seal
from voicectl.governance.signoff.statement import Signed

DAY = 86_400.0


@pytest.fixture
def people(tmp_path: Path) -> Any:
    return panel(tmp_path)


def signed(people: Any, who: str, said: Signed | None = None) -> SignOff:
    return open_sealed(seal(said or statement(who), BINDINGS, people.keys[who]), people.reviewers, "file")


def state(signoffs: list[SignOff], **changes: Any) -> SignOffState:
    facts: dict[str, Any] = {
        "tier": "medium", "use_cases": ("account_changes",), "as_of": NOW, "bindings": BINDINGS,
        "author": "The Author", "now": NOW + 60, **changes,
    }  # fmt: skip
    return check_signoffs(load_policy().policy, signoffs, **facts)


def test_two_reviewers_are_enough(people: Any) -> None:
    assert state([signed(people, "one"), signed(people, "two")]).missing == ()


def test_one_is_not(people: Any) -> None:
    assert state([signed(people, "one")]).missing == ("compliance_officer: nobody has signed",)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"now": NOW + 14 * DAY}, "expired"),
        ({"now": NOW - 100}, "future"),
        ({"author": "reviewer  ONE"}, "author of the change"),
        ({"author": ""}, "does not name the author"),
        ({"tier": "high"}, "another decision"),
        ({"use_cases": ("account_changes", "faq")}, "another decision"),
        ({"as_of": NOW + 1}, "another time"),
        *(
            ({"bindings": replace(BINDINGS, **{name: "f" * 64})}, name.replace("_", " "))
            for name in (
                "policy",
                "evidence",
                "configuration",
                "audit_checkpoint",
                "attestations",
                "reviewers",
                "state",
            )
        ),
    ],
)
def test_everything_that_changed_makes_it_worthless(changes: dict[str, Any], said: str, people: Any) -> None:
    found = state([signed(people, "one"), signed(people, "two")], **changes)
    assert any(said in problem for problem in found.missing)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"role": "compliance_officer"}, "does not have this role"),
        ({"reviewer": "Reviewer two"}, "with the key of Reviewer one"),
        ({"expires_at": NOW + 15 * DAY}, "expired"),
    ],
)
def test_what_the_signer_may_not_say_is_refused(changes: dict[str, Any], said: str, people: Any) -> None:
    found = state([signed(people, "one", statement("one", **changes)), signed(people, "two")])
    assert any(said in problem for problem in found.missing)


def test_one_person_in_two_roles_is_refused(people: Any) -> None:
    path = people.reviewers.path
    path.write_text(path.read_text().replace("roles: [voice_ai_owner]", "roles: [voice_ai_owner, compliance_officer]"))
    from voicectl.governance.signoff.reviewers import read_reviewers

    both = type(people)(read_reviewers(path), people.keys)
    found = state([signed(both, "one"), signed(both, "one", statement("one", role="compliance_officer"))])
    assert any("different people" in problem for problem in found.missing)
