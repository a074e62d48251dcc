"""Releases come and go: a good one during a live call, broken ones that are taken back, and the way back."""

import asyncio
import time

import pytest

from tests.hosts.calls import LiveCall, ask
from tests.hosts.conftest import OPTIONS, Installed, Measured
from tests.hosts.invariant import assert_serves_one_of
from tests.hosts.looking import active_release, journal, release_program
from tests.hosts.machine import Machine
from tests.hosts.releases import (
    CRASHES,
    CRASHES_IN_CALLS,
    FAILS_ON_THE_REAL_PORT,
    GOOD,
    OLDER,
    TALKS_GARBAGE,
    TOO_SLOW,
    Change,
    Shelf,
)

ROLLBACK_BAR_S = 20.0


def test_rollback_to_nothing_is_refused(guest: Machine, installed: Installed, shelf: Shelf) -> None:
    outcome = installed.operator.on("rollback", [guest])
    assert outcome.code == 3, outcome.error or outcome.document
    assert_serves_one_of(guest, {shelf.release_id(installed.bundle)}, installed.question, installed.api_key)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        pytest.param(CRASHES, "", id="crashes"),
        pytest.param(
            TALKS_GARBAGE, "the voice does not say the answer", id="talks-garbage", marks=pytest.mark.beyond_core
        ),
        pytest.param(TOO_SLOW, "ms are allowed", id="too-slow", marks=pytest.mark.beyond_core),
        pytest.param(CRASHES_IN_CALLS, "", id="crashes-in-calls", marks=pytest.mark.campaign),
        pytest.param(FAILS_ON_THE_REAL_PORT, "", id="fails-on-the-real-port", marks=pytest.mark.beyond_core),
    ],
)
def test_broken_release_is_taken_back_by_itself(
    guest: Machine, installed: Installed, shelf: Shelf, measured: Measured, change: Change, says: str
) -> None:
    good = shelf.release_id(installed.bundle)
    broken = shelf.changed(change)
    outcome = installed.operator.upgrade(broken, [guest], *OPTIONS)
    measured(f"upgrade to a release that {change.label}, taken back", outcome.seconds, "s")
    assert outcome.code == 9, outcome.error or outcome.told[-4000:]
    assert says in outcome.error
    assert_serves_one_of(guest, {good}, installed.question, installed.api_key)
    status = installed.operator.on("status", [guest])
    assert status.code == 0, status.document
    code, document = release_program(guest, "status")
    assert code == 0
    assert document["release"] == good
    failed = {release["id"]: release for release in document["releases"]}.get(shelf.release_id(broken))
    assert failed is None or failed["state"] == "failed"
    assert guest.read("find /var/lib/systemd/coredump /var/crash -type f 2>/dev/null || true") == ""


@pytest.mark.beyond_core
def test_release_that_fails_only_in_service_was_really_switched_to(guest: Machine) -> None:
    assert "works on the gate's port alone" in journal(guest)


def test_older_release_is_refused_and_changes_nothing(guest: Machine, installed: Installed, shelf: Shelf) -> None:
    good = shelf.release_id(installed.bundle)
    pid = guest.read("systemctl show -P MainPID voicectl.service")
    outcome = installed.operator.upgrade(shelf.changed(OLDER), [guest], *OPTIONS)
    assert outcome.code == 3, outcome.error or outcome.document
    assert active_release(guest) == good
    assert guest.read("systemctl show -P MainPID voicectl.service") == pid


async def test_upgrade_during_a_live_call_keeps_the_conversation(
    guest: Machine, installed: Installed, shelf: Shelf, measured: Measured
) -> None:
    newer = shelf.changed(GOOD)
    call = LiveCall(guest, installed.question, installed.api_key)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(call.hold())
        while not call.answered:
            await asyncio.sleep(0.1)
        session, before = call.session, len(call.answered)
        upgraded = await asyncio.to_thread(installed.operator.upgrade, newer, [guest], *OPTIONS)
        after = len(call.answered)
        async with asyncio.timeout(60):
            while len(call.answered) < after + 2:
                await asyncio.sleep(0.1)
        call.stop()
    upgraded.succeeded()
    measured("upgrade during a live call", upgraded.seconds, "s")
    measured("turns of that call without an answer", call.unanswered, "turns", bar=0)
    assert active_release(guest) == shelf.release_id(newer)
    assert before < after, "no turn was answered while the release was replaced"
    assert call.session == session, "the conversation began anew"
    assert call.resumed == call.lost
    assert call.unanswered == 0


def test_rollback_brings_the_release_before_back(
    guest: Machine, installed: Installed, shelf: Shelf, measured: Measured
) -> None:
    old, new = shelf.release_id(installed.bundle), shelf.release_id(shelf.changed(GOOD))
    if active_release(guest) != new:
        # The test before has done that, unless this one runs alone.
        upgraded = installed.operator.upgrade(shelf.changed(GOOD), [guest], *OPTIONS).succeeded()
        measured("upgrade, no call", upgraded.seconds, "s")
    assert active_release(guest) == new
    kept = guest.read("ls /opt/voicectl/releases").split()
    assert sorted(kept) == sorted([old, new])
    begun = time.monotonic()
    installed.operator.on("rollback", [guest]).succeeded()
    measured("rollback, command to its golden call", time.monotonic() - begun, "s", bar=ROLLBACK_BAR_S)
    assert ask(guest, installed.question, installed.api_key).reply
    measured("rollback, command to a call from outside", time.monotonic() - begun, "s")
    assert_serves_one_of(guest, {old}, installed.question, installed.api_key)
    forward = installed.operator.on("rollback", [guest], "--to", new)
    assert forward.code == 0, forward.error
    assert active_release(guest) == new
