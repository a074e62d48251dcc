"""What was not promoted gets no traffic, and a state that cannot be believed opens nothing."""

import base64
import random
from pathlib import Path

import pytest

from tests.fakes.reviewers import BINDINGS, NOW, panel, statement
from voicectl.core.errors import LockedError
from voicectl.core.rollout import Admitted, Refused
from voicectl.governance.audit.segments import exclusive
from voicectl.governance.policy.load import load_policy
from voicectl.governance.rollout.believe import believed, continued
from voicectl.governance.rollout.state import (
    LOCK_FILE,
    Change,
    Enforcement,
    RolloutState,
    changing,
    parse_state,
    read_state,
    write_state,
)
from voicectl.governance.signoff.envelope import seal

POLICY = load_policy().policy
EMPTY = RolloutState().digest


def change(action: str, *use_cases: str, tier: str = "medium", previous: str = EMPTY, **more: object) -> Change:
    facts = {"at": NOW, "by": "x", "reason": "y", **more}
    return Change(action=action, tier=tier, use_cases=use_cases, previous=previous, **facts)  # type: ignore[arg-type]


def test_without_a_file_only_the_lowest_tier_is_open(tmp_path: Path) -> None:
    found = Enforcement(POLICY, read_state(tmp_path / "none"))
    assert found.admit("faq") == Admitted("low")
    assert (found.tier_of("account_changes"), found.is_open("loan_status")) == (None, False)


def test_an_unlisted_use_case_is_refused_and_goes_to_a_person() -> None:
    refused = Enforcement(POLICY).admit("chitchat")
    assert isinstance(refused, Refused) and refused.code == "use_case_unknown" and "chitchat" in refused.reason


def test_a_promotion_opens_and_a_demotion_closes(tmp_path: Path) -> None:
    path = tmp_path / "rollout.json"
    state = write_state(path, (change("promote", "account_changes"),))
    assert Enforcement(POLICY, read_state(path)).tier_of("account_changes") == "medium"
    assert not Enforcement(POLICY, read_state(path)).is_open("appointment_scheduling")
    write_state(path, (*state.changes, change("demote", "account_changes", previous=state.digest)))
    assert isinstance(Enforcement(POLICY, read_state(path)).admit("account_changes"), Refused)
    assert path.stat().st_mode & 0o777 == 0o600


def test_writers_of_a_state_take_turns(tmp_path: Path) -> None:
    path = tmp_path / "gate/rollout.json"
    with (
        changing(path),
        pytest.raises(LockedError, match="rollout state"),
        exclusive(path.parent, 0.0, name=LOCK_FILE, what="the rollout state"),
    ):
        pass
    with changing(path):
        write_state(path, (change("demote", "faq", tier="low"),))
    assert read_state(path).serial == 1


def test_a_use_case_that_the_policy_moved_up_is_closed() -> None:
    state = RolloutState((change("promote", "loan_status", tier="medium"),))
    assert not Enforcement(POLICY, state).is_open("loan_status")


def test_any_changed_byte_opens_nothing(tmp_path: Path) -> None:
    people, path, chance = panel(tmp_path), tmp_path / "rollout.json", random.Random(1)
    bindings = type(BINDINGS)(*(EMPTY if name == "state" else getattr(BINDINGS, name) for name in BINDINGS.__slots__))
    signoffs = tuple(
        base64.b64encode(seal(statement(who), bindings, people.keys[who])).decode() for who in ("one", "two")
    )
    write_state(path, (change("promote", "account_changes", signoffs=signoffs),))
    content = path.read_bytes()
    whole = believed(parse_state(content), POLICY, people.reviewers)
    assert Enforcement(POLICY, whole).is_open("account_changes")
    for _ in range(150):
        at = chance.randrange(len(content))
        path.write_bytes(content[:at] + bytes([content[at] ^ chance.randrange(1, 256)]) + content[at + 1 :])
        found = believed(read_state(path), POLICY, people.reviewers)
        # Words of the reason, the person and the time are nobody's signature; the audit log has them.
        if found.problem is None:
            assert found.changes[0].use_cases == ("account_changes",)
            assert found.changes[0].signoffs == signoffs
            assert found.digest != whole.digest


@pytest.mark.parametrize("content", [b"", b"{}", b"[" * 9000, b"\xff", b"null"])
def test_a_damaged_file_opens_nothing(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "rollout.json").write_bytes(content)
    found = Enforcement(POLICY, read_state(tmp_path / "rollout.json"))
    assert not any(found.is_open(name) for rules in POLICY.tiers.values() for name in rules.use_cases)


@pytest.mark.parametrize("signers", [(), ("one",), ("one", "stranger"), ("two", "two")])
def test_a_promotion_that_was_not_signed_opens_nothing(signers: tuple[str, ...], tmp_path: Path) -> None:
    people = panel(tmp_path)
    signoffs = tuple(base64.b64encode(seal(statement(who), BINDINGS, people.keys[who])).decode() for who in signers)
    state = RolloutState((change("promote", "account_changes", signoffs=signoffs),))
    found = Enforcement(POLICY, believed(state, POLICY, people.reviewers))
    assert not found.is_open("account_changes") and not found.is_open("faq")


def test_without_reviewers_no_promotion_is_believed() -> None:
    assert believed(RolloutState((change("promote", "account_changes"),)), POLICY, None).problem is not None
    assert believed(RolloutState((change("demote", "faq", tier="low"),)), POLICY, None).problem is None


def test_a_state_that_lost_changes_since_it_was_enforced_opens_nothing(tmp_path: Path) -> None:
    path = tmp_path / "rollout.json"
    first = write_state(path, (change("demote", "faq", tier="low"),))
    second = write_state(path, (*first.changes, change("demote", "order_status", tier="low", previous=first.digest)))
    assert continued(first, second) == second
    assert continued(second, second) == second
    for lost in (first, RolloutState()):
        found = Enforcement(POLICY, continued(second, lost))
        assert not any(found.is_open(name) for name in POLICY.tiers["low"].use_cases)
