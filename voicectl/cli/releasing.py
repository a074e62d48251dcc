"""Bring a release to hosts from the command line: what `install` and `upgrade` have in common."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from voicectl.cli.output import Output
from voicectl.cli.run_result import end_with, print_run, refuse, run_document, tell_failures, tell_interruption
from voicectl.cli.run_view import run_view
from voicectl.core.errors import UsageError
from voicectl.core.paths import cache_path, config_path, state_path

if TYPE_CHECKING:
    from rich.console import Console

    from voicectl.provision.operation import Selection
    from voicectl.provision.ssh import SshOptions
    from voicectl.service.installing.install import Command, InstallOutcome

SIGNERS_FILE: Final = "allowed_signers"
SIGNERS_VARIABLE: Final = "VOICECTL_ALLOWED_SIGNERS"
SYSTEM_SIGNERS: Final = Path("/etc/voicectl") / SIGNERS_FILE

BundleOption = Annotated[
    Path | None,
    typer.Option("--bundle", "-b", metavar="FILE", help="The bundle; without it, the only one in this folder."),
]
SignersOption = Annotated[
    Path | None,
    typer.Option(
        "--allowed-signers",
        metavar="FILE",
        envvar=SIGNERS_VARIABLE,
        help="Who may sign bundles; by default /etc/voicectl/allowed_signers.",
    ),
]
UnsignedOption = Annotated[
    bool, typer.Option("--allow-unsigned", help="Take a bundle without a signature; marks the hosts as tainted.")
]
DowngradeOption = Annotated[bool, typer.Option("--allow-downgrade", help="Take a bundle older than what is active.")]
ProfileNameOption = Annotated[
    str | None,
    typer.Option("--profile", "-p", metavar="NAME", help="A profile of the bundle; by default what the host has."),
]
AllowFromOption = Annotated[
    list[str] | None,
    typer.Option(
        "--allow-from", metavar="CIDR", help="Network that may call; repeatable. Without any, the host alone."
    ),
]
BindOption = Annotated[str | None, typer.Option("--bind", metavar="ADDRESS", help="Address to listen on.")]
PortOption = Annotated[int | None, typer.Option("--port", min=1, max=65535, help="Port to listen on; 8080.")]
SettingsOption = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change one key of the profile; repeatable.")
]
CheckOption = Annotated[bool, typer.Option("--check", help="Only say what would change.")]


def settings_of(texts: Sequence[str] | None) -> dict[str, Any]:
    """Return `KEY=VALUE` texts as a table. Raises UsageError for unknown keys and values that are none."""
    import yaml

    from voicectl.core.config import profile_keys

    known = set(profile_keys())
    settings: dict[str, Any] = {}
    for text in texts or ():
        key, equals, value = text.partition("=")
        if not equals:
            raise UsageError(f"--set {text!r} has no value", hint="write it as key=value")
        pattern = ".".join("0" if step.isdecimal() else step for step in key.strip().split("."))
        if pattern not in known:
            raise UsageError(f"--set {key}: unknown key", hint="every key with its meaning: docs/configuration.md")
        try:
            settings[key.strip()] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise UsageError(f"--set {key}: {value!r} is no value", hint="values are written as in YAML") from error
    return settings


def bring_release(
    command: "Command",
    bundle: Path | None,
    signers: Path | None,
    selection: "Selection",
    ssh: "SshOptions",
    **said: Any,
) -> None:
    """Verify the bundle, look at the hosts, install, tell how it ended, and exit with the code of the worst host."""
    from voicectl.provision.operation import operation
    from voicectl.service.installing.bundles import choose_bundle
    from voicectl.service.installing.install import InstallRequest, install, verified

    output = Output(json=said.pop("json"))
    request = InstallRequest(command, choose_bundle(bundle, Path.cwd()), signers or _signers(), **said)
    with run_view(sys.stderr) as view:
        checked = verified(request, view)
        with operation(command, selection, ssh, state_path(), changes=True) as work:
            outcome = install(request, checked, work, cache_path(), view)
    document = _document(command, outcome, check=request.check)
    if outcome.refusal is not None or outcome.result is None:
        assert outcome.refusal is not None
        refuse(output, outcome.refusal, document)
        return
    result = outcome.result
    tell_failures(result)
    output.result(document, lambda console: _render(console, command, outcome, check=request.check))
    if result.interrupted:
        tell_interruption(output, command, result)
    end_with(result)


def _signers() -> Path:
    own = config_path() / SIGNERS_FILE
    return own if own.is_file() else SYSTEM_SIGNERS


def _document(command: str, outcome: "InstallOutcome", *, check: bool) -> dict[str, Any]:
    from voicectl.provision.preflight import report_document

    bundle = outcome.bundle
    about = {
        "release": bundle.release_id,
        "version": bundle.manifest.version,
        "signed_by": bundle.signed_by,
        "profile": outcome.profile,
        "check": check,
        "checks": {report.host: report_document(report) for report in outcome.reports},
    }
    if outcome.result is None:
        refused = {
            report.host: {
                "outcome": _refused_outcome(report.exit_code),
                "exit_code": report.exit_code,
                "changed": 0,
                "error": None if report.failure is None else {"message": report.failure.message},
            }
            for report in outcome.reports
        }
        return {"command": command, **about, "hosts": refused}
    document = run_document(command, outcome.result, **about)
    for host, key in outcome.keys.items():
        document["hosts"][host]["api_key"] = key
    return document


def _refused_outcome(exit_code: int) -> str:
    from voicectl.provision.errors import HostUnreachable

    if exit_code == HostUnreachable.exit_code:
        return "unreachable"
    return "refused" if exit_code else "ready"


def _render(console: "Console", command: str, outcome: "InstallOutcome", *, check: bool) -> None:
    assert outcome.result is not None
    console.print(f"release {outcome.bundle.release_id}", markup=False)
    print_run(console, command, outcome.result, check=check)
    for host, key in outcome.keys.items():
        console.print(f"\nAPI key of {host}, shown only now:\n{key}", markup=False, soft_wrap=True)
