"""What was not promoted gets no traffic, and a state that cannot be believed opens nothing."""

import base64
import os
import random
import time
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from tests.fakes.reviewers import BINDINGS, NOW, panel, statement
from voicectl.core.errors import ConfigError, LockedError
from voicectl.core.rollout import Admitted, Refused
from voicectl.governance.audit.segments import exclusive
from voicectl.governance.policy.load import load_policy
from voicectl.governance.rollout.believe import believed, continued
from voicectl.governance.rollout.state import (
    FULL_BYTES,
    KEPT_CHANGES,
    LOCK_FILE,
    MAX_CHANGES,
    Change,
    Enforcement,
    RolloutState,
    appended,
    changing,
    parse_state,
    read_state,
    state_bytes,
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
    state = write_state(path, appended(RolloutState(), change("promote", "account_changes")))
    assert Enforcement(POLICY, read_state(path)).tier_of("account_changes") == "medium"
    assert not Enforcement(POLICY, read_state(path)).is_open("appointment_scheduling")
    write_state(path, appended(state, change("demote", "account_changes")))
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
        write_state(path, appended(RolloutState(), change("demote", "faq", tier="low")))
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
    promotion = change("promote", "account_changes", signoffs=signoffs, policy_digest=BINDINGS.policy)
    write_state(path, appended(RolloutState(), promotion))
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
    first = write_state(path, appended(RolloutState(), change("demote", "faq", tier="low")))
    second = write_state(path, appended(first, change("demote", "order_status", tier="low")))
    assert continued(first, second) == second
    assert continued(second, second) == second
    for lost in (first, RolloutState()):
        found = Enforcement(POLICY, continued(second, lost))
        assert not any(found.is_open(name) for name in POLICY.tiers["low"].use_cases)


@pytest.mark.timeout(10)
def test_a_pipe_in_the_place_of_the_file_keeps_nobody_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "rollout.json")
    assert "no regular file" in (read_state(tmp_path / "rollout.json").problem or "")


def many(number: int, *, name: str = "faq") -> RolloutState:
    demotions = [change("demote", name, tier="low", at=NOW + at, reason=str(at)) for at in range(number)]
    return appended(RolloutState(), *demotions)


def test_a_demotion_is_possible_after_any_number_of_changes(tmp_path: Path) -> None:
    path = tmp_path / "rollout.json"
    full = write_state(path, appended(many(MAX_CHANGES - 1), change("demote", "order_status", tier="low")))
    assert (full.base, full.serial) == (None, MAX_CHANGES)
    write_state(path, appended(full, change("demote", "business_hours", tier="low")))
    found = read_state(path)
    assert (found.problem, found.serial, len(found.changes)) == (None, MAX_CHANGES + 1, KEPT_CHANGES)
    assert found.base is not None and [one.use_cases for one in found.base.changes] == [("faq",)]
    enforced = Enforcement(POLICY, found)
    assert not any(enforced.is_open(name) for name in ("faq", "order_status", "business_hours"))
    assert enforced.is_open("password_reset")
    again = appended(found, *many(2 * MAX_CHANGES).changes, *many(MAX_CHANGES).changes)
    assert not Enforcement(POLICY, parse_state(state_bytes(again))).is_open("business_hours")


def test_a_running_service_goes_on_with_a_state_whose_old_changes_were_folded() -> None:
    before = many(MAX_CHANGES)
    after = appended(before, change("demote", "order_status", tier="low"))
    assert after.base is not None and continued(before, after) == after
    assert continued(after, after) == after
    lost = appended(many(MAX_CHANGES, name="business_hours"), change("demote", "order_status", tier="low"))
    unseen = appended(many(2), *many(MAX_CHANGES).changes)
    assert continued(before, lost).problem is not None, "it lost the demotions of another use case"
    assert continued(after, before).problem is not None
    assert continued(many(1), unseen).problem is not None, "more was folded than the service has seen"


def test_a_running_service_notices_a_folded_demotion_that_is_left_out() -> None:
    first = change("demote", "order_status", tier="low")
    before = appended(RolloutState(), first, *many(MAX_CHANGES - 1).changes)
    after = appended(before, change("demote", "business_hours", tier="low"))
    assert after.base is not None and continued(before, after).problem is None
    forged = msgspec.structs.replace(after.base, changes=after.base.changes[1:])
    assert continued(before, replace(after, base=forged)).problem is not None


def test_a_folded_demotion_that_is_taken_out_opens_nothing(tmp_path: Path) -> None:
    path = tmp_path / "rollout.json"
    write_state(path, appended(many(MAX_CHANGES), change("demote", "order_status", tier="low")))
    for old in (b'"serial": 901', b'"faq"'):
        content = path.read_bytes()
        assert old in content
        (tmp_path / "other.json").write_bytes(content.replace(old, old.replace(b"9", b"8").replace(b"faq", b"fag"), 1))
        assert "folded" in (read_state(tmp_path / "other.json").problem or "")


def test_promotions_leave_room_for_demotions(tmp_path: Path) -> None:
    path, large = tmp_path / "rollout.json", ("x" * 60_000,) * 14
    names = [f"use_case_{number}" for number in range(5)]
    state = RolloutState()
    for name in names[:4]:
        state = write_state(path, appended(state, change("promote", name, signoffs=large)))
    kept = path.read_bytes()
    with pytest.raises(ConfigError, match="bytes"):
        write_state(path, appended(state, change("promote", names[4], signoffs=large)))
    assert path.read_bytes() == kept
    over = appended(state, change("demote", "faq", tier="low", reason="x" * FULL_BYTES))
    assert write_state(path, over).problem is None, "a demotion may be more than is left for promotions"


def test_a_superseded_promotion_makes_room(tmp_path: Path) -> None:
    path, large, state = tmp_path / "rollout.json", ("x" * 60_000,) * 14, RolloutState()
    for _ in range(12):
        state = write_state(path, appended(state, change("promote", "account_changes", signoffs=large)))
    assert path.stat().st_size <= FULL_BYTES and state.serial == 12


def test_reading_takes_time_in_proportion() -> None:
    def took_s(number: int) -> float:
        promotions = [change("promote", "account_changes", signoffs=("x" * 2_000,)) for _ in range(number)]
        content, times = state_bytes(appended(RolloutState(), *promotions)), []
        for _ in range(5):
            started_at = time.process_time()
            parse_state(content)
            times.append(time.process_time() - started_at)
        return min(times)

    assert took_s(960) < 20 * took_s(120), "8 times as much; each change was once read with all before it, 64 times"


@pytest.mark.parametrize("digest", ["f" * 64, None])
def test_a_promotion_signed_for_another_policy_than_it_names_opens_nothing(digest: str | None, tmp_path: Path) -> None:
    people = panel(tmp_path)
    bindings = replace(BINDINGS, state=EMPTY)
    signoffs = tuple(
        base64.b64encode(seal(statement(who), bindings, people.keys[who])).decode() for who in ("one", "two")
    )
    named = {} if digest is None else {"policy_digest": digest}
    state = appended(RolloutState(), change("promote", "account_changes", signoffs=signoffs, **named))
    found = believed(state, POLICY, people.reviewers)
    assert "another policy" in (found.problem or "")
    assert not Enforcement(POLICY, found).is_open("faq")
