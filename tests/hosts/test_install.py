"""An installation from zero, seen from outside: one command, a confined service that answers, and nothing leaves."""

import json
import os
import time
from pathlib import Path

import pytest

from tests.hosts.calls import ask
from tests.hosts.conftest import OPTIONS, Guests, Installed, Measured
from tests.hosts.link import counting
from tests.hosts.looking import exposure, release_program, wait_until_ready, whole_journal
from tests.hosts.machine import Machine
from tests.hosts.releases import Shelf

INSTALL_BAR_S = 300.0
SECOND_RUN_BAR_S = 40.0
EXPOSURE_BAR = 1.5
EGRESS_S = float(os.environ.get("VOICECTL_HOSTS_EGRESS_S", "30"))
"""How long the service is watched for packets that leave the host."""
PAUSE_S = 5.0 if EGRESS_S < 600 else 30.0
"""Between its calls."""


def test_one_command_installs_a_service_that_answers(installed: Installed, measured: Measured) -> None:
    measured("install to the first answered call", installed.seconds_to_first_answer, "s", bar=INSTALL_BAR_S)
    measured("of which `voicectl install`", installed.outcome.seconds, "s")
    measured("processor time of the host for it", installed.guest_processor_s, "s")
    measured("processor time of the operator's machine for it", installed.outcome.processor_s, "s")
    assert installed.outcome.document["hosts"][installed.address]["outcome"] == "done"
    assert installed.first_answer.heard
    assert installed.first_answer.reply


def test_nothing_left_the_host_during_the_installation(installed: Installed, measured: Measured) -> None:
    measured("packets that left during install and first call", installed.packets_left, "packets", bar=0)
    assert installed.packets_left == 0
    # The same watch has seen the test's own canary, sent after the call.
    assert installed.canary_packets > 0


def test_service_comes_up_with_the_host(guest: Machine, installed: Installed) -> None:
    wait_until_ready(guest)
    assert guest.read("systemctl is-enabled voicectl.service") == "enabled"
    assert guest.read("systemctl is-system-running --wait") == "running"


def test_call_over_the_network_is_answered(guest: Machine, installed: Installed, measured: Measured) -> None:
    wait_until_ready(guest)
    answered = ask(guest, installed.question, installed.api_key)
    measured("v2v of a call from outside", answered.v2v_ms, "ms")
    assert _words(installed.golden_transcript) & _words(answered.heard)
    assert answered.reply


def test_call_without_a_key_is_refused(guest: Machine, installed: Installed) -> None:
    wait_until_ready(guest)
    with pytest.raises(AssertionError, match="key"):
        ask(guest, installed.question, None)


def test_second_run_changes_nothing(guest: Machine, installed: Installed, measured: Measured) -> None:
    wait_until_ready(guest)
    main_pid = guest.read("systemctl show -P MainPID voicectl.service")
    again = installed.operator.install(installed.bundle, [guest], *OPTIONS).succeeded()
    measured("second run", again.seconds, "s", bar=SECOND_RUN_BAR_S)
    measured("processor time of the second run: operator's machine", again.processor_s, "s")
    assert again.host(guest)["changed"] == 0
    assert guest.read("systemctl show -P MainPID voicectl.service") == main_pid


def test_unit_is_confined_and_watched(guest: Machine, measured: Measured) -> None:
    wait_until_ready(guest)
    score = exposure(guest)
    measured("exposure of voicectl.service", score, "", bar=EXPOSURE_BAR)
    assert score <= EXPOSURE_BAR
    shown = guest.read("systemctl show -p WatchdogUSec -p LimitCORE -p Type -p User -p NRestarts voicectl.service")
    assert dict(line.split("=", 1) for line in shown.splitlines()) == {
        "WatchdogUSec": "15s",
        "LimitCORE": "0",
        "Type": "notify",
        "User": "voicectl",
        "NRestarts": "0",
    }


def test_gateway_that_hangs_is_replaced(new_guest: Guests, installed: Installed, measured: Measured) -> None:
    machine = new_guest(installed.image)
    machine.boot()
    wait_until_ready(machine)
    pid = machine.read("systemctl show -P MainPID voicectl.service")
    begun = time.monotonic()
    machine.ssh(f"kill -STOP {pid}")
    while machine.read("systemctl show -P MainPID voicectl.service") in (pid, "0"):
        assert time.monotonic() - begun < 60, "the watchdog did not bite"
        time.sleep(0.5)
    wait_until_ready(machine)
    measured("gateway hangs, to ready again", time.monotonic() - begun, "s")
    assert ask(machine, installed.question, installed.api_key).reply


def test_service_cannot_reach_what_it_was_not_allowed_to(guest: Machine) -> None:
    wait_until_ready(guest)
    denied = guest.read("systemctl show -P IPAddressDeny voicectl.service")
    assert "0.0.0.0/0" in denied
    assert "::/0" in denied


def test_journal_holds_nothing_of_what_was_said(guest: Machine, installed: Installed) -> None:
    wait_until_ready(guest)
    answered = ask(guest, installed.question, installed.api_key)
    logged = whole_journal(guest).casefold()
    assert "voicectl" in logged
    for said in (answered.heard, answered.reply, installed.golden_transcript):
        words = said.casefold().split()
        for start in range(max(1, len(words) - 2)):
            phrase = " ".join(words[start : start + 3])
            assert len(phrase) < 10 or phrase not in logged, f"the journal holds {phrase!r}"
    assert installed.api_key is not None
    assert installed.api_key not in logged


def test_status_and_doctor_agree_with_the_host(guest: Machine, installed: Installed, shelf: Shelf) -> None:
    wait_until_ready(guest)
    status = installed.operator.on("status", [guest]).succeeded()
    told = json.dumps(status.document)
    assert shelf.release_id(installed.bundle) in told
    assert "good" in told
    doctor = installed.operator.on("doctor", [guest])
    assert doctor.code == 0, doctor.error or doctor.document


def test_deep_verification_finds_a_whole_release(guest: Machine) -> None:
    wait_until_ready(guest)
    code, document = release_program(guest, "verify", "--deep")
    assert code == 0, document
    assert guest.read("systemctl is-enabled voicectl-verify.timer") == "enabled"


def test_support_bundle_has_no_secret(guest: Machine, installed: Installed, tmp_path: Path) -> None:
    wait_until_ready(guest)
    target = tmp_path / "support.tar.gz"
    installed.operator.on("support-bundle", [guest], "--output", str(target)).succeeded()
    import tarfile

    with tarfile.open(target) as archive:
        content = b"\n".join(file.read() for entry in archive if (file := archive.extractfile(entry)) is not None)
    assert b"voicectl" in content
    assert installed.api_key is not None
    assert installed.api_key.encode() not in content
    assert guest.read("cat /etc/voicectl/gate.key").encode() not in content


@pytest.mark.timeout(EGRESS_S + 900)
def test_nothing_leaves_the_host_while_it_serves(guest: Machine, installed: Installed, measured: Measured) -> None:
    wait_until_ready(guest)
    with counting(guest.link) as left:
        until = time.monotonic() + EGRESS_S
        calls = 0
        while time.monotonic() < until:
            assert ask(guest, installed.question, installed.api_key).reply
            calls += 1
            time.sleep(min(PAUSE_S, max(0.0, until - time.monotonic())))
    measured(f"packets that left in {EGRESS_S:.0f} s of service with {calls} calls", left[0], "packets", bar=0)
    assert left == [0]
    with counting(guest.link) as left:
        guest.ssh("timeout 2 python3 -c \"import socket; socket.getaddrinfo('canary.invalid', 1)\"", check=False)
    assert left[0] > 0


def _words(text: str) -> set[str]:
    return {word.strip(".,?!").casefold() for word in text.split()}
