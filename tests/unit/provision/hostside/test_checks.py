"""Tests of what refuses a release before anything is touched."""

from dataclasses import replace

import pytest

from voicectl.provision.hostside.checks import numbers, prunable, refuse_activation, refuse_host, rollback_target
from voicectl.provision.hostside.faults import Refused
from voicectl.provision.hostside.hostfacts import HostFacts
from voicectl.provision.hostside.manifest import Compatible, Manifest
from voicectl.provision.hostside.state import Attempt, Outcome, Release, State

OLD, NEW, LAST = "1.0.0-aaaaaaaaaaaa", "1.1.0-bbbbbbbbbbbb", "0.9.0-cccccccccccc"
ANYWHERE = Compatible(None, None, None, None, (), None)
FACTS = HostFacts("debian", "12", "x86_64", "3.11", frozenset({"avx2", "fma"}))


def release(release_id: str, serial: int, *, good_at: str | None = None, left_at: str | None = None) -> Release:
    version = release_id.partition("-")[0]
    status = "good" if good_at else "staged"
    return Release(release_id, status, version, serial, "", f"at {serial}", good_at=good_at, left_at=left_at)


def manifest(version: str, serial: int, *, least: str | None = None, driver: str | None = None) -> Manifest:
    return Manifest(version, serial, least, replace(ANYWHERE, gpu_driver=driver), ())


STATE = State(active=OLD).with_release(release(OLD, 5, good_at="then")).with_release(release(NEW, 6))


def test_a_newer_release_may_follow() -> None:
    found = refuse_activation(STATE, NEW, manifest("1.1.0", 6), manifest("1.0.0", 5), allow_downgrade=False)
    assert found.release_id == NEW


def test_an_unknown_release_is_refused() -> None:
    with pytest.raises(Refused, match="not staged"):
        refuse_activation(STATE, LAST, manifest("0.9.0", 4), None, allow_downgrade=False)


def test_a_lower_serial_is_a_downgrade_unless_it_is_meant() -> None:
    state = STATE.with_release(release(LAST, 4))
    with pytest.raises(Refused, match="downgrade"):
        refuse_activation(state, LAST, manifest("0.9.0", 4), None, allow_downgrade=False)
    assert refuse_activation(state, LAST, manifest("0.9.0", 4), None, allow_downgrade=True).serial == 4


def test_a_release_that_needs_a_newer_one_before_it_is_refused() -> None:
    with pytest.raises(Refused, match=r"can follow 1\.0\.5"):
        refuse_activation(STATE, NEW, manifest("1.1.0", 6, least="1.0.5"), None, allow_downgrade=False)


def test_driver_and_application_do_not_change_at_once() -> None:
    active = manifest("1.0.0", 5, driver='"550"')
    with pytest.raises(Refused, match="GPU driver"):
        refuse_activation(STATE, NEW, manifest("1.1.0", 6, driver='"570"'), active, allow_downgrade=True)


def test_the_first_release_follows_nothing() -> None:
    state = State().with_release(release(NEW, 1))
    assert refuse_activation(state, NEW, manifest("1.1.0", 1, least="9"), None, allow_downgrade=False)


def test_a_host_is_refused_with_all_reasons_at_once() -> None:
    wanted = Compatible("debian", "13", "aarch64", "3.11", ("avx2", "avx512f", "amx"), None)
    with pytest.raises(Refused) as caught:
        refuse_host(wanted, FACTS)
    for reason in ("version of the system is 12, not 13", "x86_64, not aarch64", "avx512f, amx"):
        assert reason in caught.value.message
    assert "Python" not in caught.value.message


def test_a_fitting_host_is_not_refused() -> None:
    refuse_host(Compatible("debian", "12", "x86_64", "3.11", ("avx2",), None), FACTS)
    refuse_host(replace(ANYWHERE, cpu_flags=("avx2",)), replace(FACTS, cpu_flags=None))


def test_a_rollback_goes_to_the_release_before() -> None:
    state = replace(STATE.with_release(release(LAST, 4, good_at="then")), previous=LAST)
    assert rollback_target(state, None).release_id == LAST


@pytest.mark.parametrize("wanted", [None, NEW, LAST])
def test_a_rollback_never_goes_to_a_release_that_was_never_good(wanted: str | None) -> None:
    with pytest.raises(Refused):
        rollback_target(STATE, wanted)


def test_a_rollback_asked_for_again_does_not_lead_forward() -> None:
    left = release(NEW, 6, good_at="then", left_at="later")
    state = replace(STATE.with_release(left), previous=NEW)
    with pytest.raises(Refused, match=f"--to {NEW}|left by a rollback"):
        rollback_target(state, None)
    assert rollback_target(state, NEW).release_id == NEW


def test_without_an_active_release_there_is_nothing_to_go_back_from() -> None:
    with pytest.raises(Refused, match="no release is active"):
        rollback_target(replace(STATE, active=None), None)


def test_two_releases_are_kept() -> None:
    state = replace(STATE.with_release(release(LAST, 4, good_at="then")), previous=LAST)
    assert prunable(state, [OLD, NEW, LAST]) == [NEW]


def test_what_failed_last_stays_and_what_failed_before_goes() -> None:
    earlier, last = "2.0.0-dddddddddddd", "2.0.1-eeeeeeeeeeee"
    state = STATE.with_release(release(earlier, 7)).with_release(release(last, 8))
    state = replace(
        state.with_release(release(LAST, 4, good_at="then")),
        previous=LAST,
        last=Outcome("activate", last, OLD, "refused", "earlier", "now"),
    )
    assert prunable(state, [OLD, LAST, earlier, last]) == [earlier]


def test_what_is_unknown_or_in_use_is_not_pruned() -> None:
    state = replace(STATE, attempt=Attempt("activate", NEW, OLD, "gate", "now"))
    assert prunable(state, [OLD, NEW, "2.0.0-dddddddddddd"]) == []


@pytest.mark.parametrize(
    ("older", "newer"), [("1.9", "1.10"), ("1.0.0", "1.0.1"), ("0.9.9", "1"), ("1.0", "1.0.0.1"), ("x", "0")]
)
def test_versions_are_compared_by_their_numbers(older: str, newer: str) -> None:
    assert numbers(older) < numbers(newer)
