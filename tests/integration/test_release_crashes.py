"""Tests of the host's release program killed at random points, and of hosts that lose power then.

`VOICECTL_KILLS` is the number of points of each test.
"""

import os
import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.release_host import ReleaseHost

pytestmark = [pytest.mark.integration, pytest.mark.timeout(3600)]

NUM_KILLS = int(os.environ.get("VOICECTL_KILLS", "10"))
LONGEST_S = 2.2
"""A little longer than a whole activation on a quiet machine."""


@pytest.fixture
def host(tmp_path: Path) -> Iterator[ReleaseHost]:
    host = ReleaseHost(tmp_path / "host")
    yield host
    host.lose_power()


def change(host: ReleaseHost, chance: random.Random) -> tuple[str, ...]:
    """Return a command that changes which release serves, with what it needs put in place."""
    ids = [host.place(f"1.{number}.0", serial=number) for number in range(3) if not _is_known(host, number)]
    for release_id in ids:
        assert host.run("stage", release_id).code == 0
    state = host.state()
    others = sorted(set(state["releases"]) - {state["active"]})
    if state["previous"] and chance.random() < 0.3:
        return ("rollback", "--to", state["previous"])
    return ("activate", chance.choice(others), "--allow-downgrade")


def _is_known(host: ReleaseHost, number: int) -> bool:
    state = host.root / "var/lib/voicectl/release/state.json"
    known = host.state()["releases"] if state.exists() else {}
    return any(release["version"] == f"1.{number}.0" for release in known.values())


def check(host: ReleaseHost, was_active: str | None, target: str) -> None:
    """Check that the host serves one release that was marked good, or none if none ever was."""
    state = host.state()
    active = state["active"]
    assert state["attempt"] is None
    assert host.linked() == active
    assert active in (was_active, target)
    assert active is None or state["releases"][active]["good_at"] is not None
    assert host.serving() == active
    assert host.run("verify", "--deep").document["drift"] == []


@pytest.mark.parametrize("power", [False, True], ids=["kill -9", "power loss"])
def test_a_host_serves_one_verified_release_wherever_it_was_cut_off(host: ReleaseHost, power: bool) -> None:
    chance = random.Random(4)
    cut_off = 0
    for _ in range(NUM_KILLS):
        command = change(host, chance)
        target = command[2] if command[0] == "rollback" else command[1]
        was_active = host.state()["active"]
        program = host.begin(*command)
        time.sleep(chance.uniform(0.05, LONGEST_S))
        cut_off += program.poll() is None
        if power:
            host.lose_power()
        program.kill()
        program.communicate()
        answer = host.boot() if power else host.run("recover")
        assert answer.code == 0, answer
        check(host, was_active, target)
    assert cut_off > NUM_KILLS // 3, "too few runs were cut off to say anything"


def test_a_killed_run_is_taken_back_by_the_next_one(host: ReleaseHost) -> None:
    old = host.active("1.0.0")
    new = host.staged("1.1.0", serial=2)
    program = host.begin("activate", new)
    while (host.state()["attempt"] or {}).get("phase") not in ("restart", "prove"):
        time.sleep(0.005)
    program.kill()
    program.communicate()
    assert host.state()["active"] == old
    answer = host.run("activate", new)
    assert (answer.code, host.serving(), host.state()["previous"]) == (0, new, old)
    assert any(event["event"] == "attempt_interrupted" for event in host.events())


def test_a_link_that_somebody_moved_is_put_right_at_boot(host: ReleaseHost) -> None:
    active, other = host.active("1.0.0"), host.staged("1.1.0", serial=2)
    link = host.root / "opt/voicectl/current"
    link.unlink()
    link.symlink_to(f"releases/{other}")
    host.lose_power()
    assert host.boot().document["recovered"] is True
    assert (host.linked(), host.serving()) == (active, active)


def test_recovery_of_a_host_that_never_had_a_release_does_nothing(host: ReleaseHost) -> None:
    for arguments in (("recover",), ("recover", "--boot")):
        answer = host.run(*arguments)
        assert (answer.code, answer.document["changed"], answer.document["release"]) == (0, False, None)
    assert host.run("recover", "--quiet").document == {}
