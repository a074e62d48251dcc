"""Look at all hosts before anything is changed, and tell everything that is wrong with any of them at once."""

import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from voicectl.core.errors import VoicectlError
from voicectl.provision.checks import Finding, run_checks
from voicectl.provision.errors import HOST_ERRORS, HostTaskFailed, HostUnreachable, PreflightRefused, worst
from voicectl.provision.events import PlayEvent
from voicectl.provision.facts import COLLECTOR, Facts, FactsUnreadable, parse_facts
from voicectl.provision.failure import Failure, read_failure
from voicectl.provision.hosts import PYTHON, Host
from voicectl.provision.needs import Needs
from voicectl.provision.playbooks import own_play
from voicectl.provision.runner import Session

_LOCAL_TIMEOUT_S: Final = 60.0
_NO_PYTHON: Final = ("python3: not found", "python3: no such file", "no such file or directory")


@dataclass(frozen=True, slots=True)
class Look:
    """What came back from one host: its facts and when, or why there are none."""

    host: str
    facts: Facts | None = None
    at: float | None = None
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class HostReport:
    """The checks of one host; `failure` instead when it could not be looked at."""

    host: str
    findings: tuple[Finding, ...]
    failure: Failure | None = None
    facts: Facts | None = None

    @property
    def refusals(self) -> tuple[Finding, ...]:
        """Return the checks that forbid to go on."""
        return tuple(finding for finding in self.findings if finding.level == "fail")

    @property
    def exit_code(self) -> int:
        """Return 0 when the host is fit."""
        if self.failure is not None:
            return self.failure.exit_code
        return PreflightRefused.exit_code if self.refusals else 0


def look_at_hosts(
    session: Session, hosts: Sequence[Host], *, clock: Callable[[], float] = time.time
) -> tuple[Look, ...]:
    """Collect the facts of all hosts, at the same time and without changing any."""
    looks: dict[str, Look] = {}

    def received(event: PlayEvent) -> None:
        if event.host is None or event.kind not in ("task_ended", "task_failed", "host_unreachable"):
            return
        looks[event.host] = read_look(event, clock())

    variables = {"voicectl_script": str(COLLECTOR)}
    end = session.play(own_play("facts"), hosts, variables, on_event=received)
    if end.interrupted:
        raise KeyboardInterrupt
    return tuple(looks.get(host.name) or Look(host.name, failure=_lost(host.name, end.tail)) for host in hosts)


def look_at_this_machine(*, clock: Callable[[], float] = time.time) -> Look:
    """Collect the facts of the machine we run on, as whoever we are."""
    python = PYTHON
    command = [python, "-I", str(COLLECTOR)]
    try:
        told = subprocess.run(  # noqa: S603 - a list of arguments
            command, capture_output=True, text=True, timeout=_LOCAL_TIMEOUT_S, check=True
        )
    except FileNotFoundError:
        told = subprocess.run(  # noqa: S603 - a list of arguments
            [sys.executable, "-I", str(COLLECTOR)],
            capture_output=True,
            text=True,
            timeout=_LOCAL_TIMEOUT_S,
            check=True,
        )
    # Both clocks are the same one, so only what no clock may say is wrong with it.
    return Look("localhost", parse_facts(told.stdout), None)


def read_look(event: PlayEvent, at: float) -> Look:
    """Return what one event of the play over the collector tells."""
    host = event.host or ""
    if event.kind == "task_ended":
        try:
            return Look(host, parse_facts(str(event.result.get("stdout", ""))), at)
        except FactsUnreadable as error:
            return Look(host, failure=Failure(host, str(error), "look at the login shell's greeting", 3))
    return Look(host, failure=_refusal(read_failure(event, None), event))


def judge(look: Look, needs: Needs) -> HostReport:
    """Return the report of one host. Pure."""
    if look.facts is None:
        return HostReport(look.host, (), look.failure)
    return HostReport(look.host, run_checks(look.facts, needs, now=look.at), None, look.facts)


def preflight_error(reports: Sequence[HostReport]) -> VoicectlError | None:
    """Return the error that stops a command, None when all hosts are fit. Its message lists everything."""
    bad = [report for report in reports if report.exit_code]
    if not bad:
        return None
    lines = [line for report in bad for line in _lines(report)]
    code = worst([report.exit_code for report in bad])
    kind = HostUnreachable if code == HostUnreachable.exit_code else HOST_ERRORS.get(code, PreflightRefused)
    count = f"{len(bad)} of {len(reports)} hosts" if len(reports) > 1 else bad[0].host
    return kind(
        f"{count}: not ready, nothing was changed\n" + "\n".join(lines),
        hint="put these right and run the same command again",
    )


def report_document(report: HostReport) -> list[Mapping[str, str]]:
    """Return the checks of a host for JSON."""
    return [
        {"name": finding.name, "level": finding.level, "detail": finding.detail, "fix": finding.fix}
        for finding in report.findings
    ]


def _lost(host: str, tail: Sequence[str]) -> Failure:
    reason = tail[-1] if tail else "Ansible ended without a word"
    return Failure(host, f"was not looked at: {reason}", "run the same command again", HostTaskFailed.exit_code)


def _lines(report: HostReport) -> list[str]:
    if report.failure is not None:
        return [f"  {report.host}: {report.failure.message}", f"    fix: {report.failure.hint}"]
    lines = []
    for finding in report.refusals:
        lines += [f"  {report.host}: {finding.name}: {finding.detail}", f"    fix: {finding.fix}"]
    return lines


def _refusal(failure: Failure, event: PlayEvent) -> Failure:
    """Return why the collector did not run: a host that answers and cannot run it is not fit, not unreachable."""
    if event.kind == "host_unreachable" or failure.exit_code == PreflightRefused.exit_code:
        return failure
    told = " ".join(str(event.result.get(key, "")) for key in ("msg", "stderr", "module_stderr")).lower()
    if any(words in told for words in _NO_PYTHON):
        hint = "apt-get install python3-minimal, or use a Debian host"
        return Failure(failure.host, f"has no {PYTHON}", hint, PreflightRefused.exit_code, log=failure.log)
    hint = f"see what it says: ssh {failure.host} {PYTHON} --version"
    return Failure(failure.host, failure.message, hint, PreflightRefused.exit_code, log=failure.log)
