"""`voicectl doctor`: every check that an installation makes, and the fix of each that does not hold."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from voicectl.cli import host_options as hosts_by
from voicectl.cli.options import JsonOption
from voicectl.cli.output import Output
from voicectl.cli.run_view import run_view
from voicectl.core.paths import state_path

if TYPE_CHECKING:
    from rich.console import Console

    from voicectl.provision.needs import Needs
    from voicectl.provision.operation import Selection
    from voicectl.provision.preflight import HostReport
    from voicectl.provision.ssh import SshOptions

app = typer.Typer(add_completion=False, rich_markup_mode="markdown")


@app.command("doctor", epilog="Example: voicectl doctor --profile gpu-l40s root@gw1")
def doctor_command(
    hosts: hosts_by.HostsArgument = None,
    *,
    inventory: hosts_by.InventoryOption = None,
    local: hosts_by.LocalOption = False,
    profile: Annotated[
        str | None, typer.Option("--profile", "-p", metavar="NAME", help="What is to run there; cpu.")
    ] = None,
    bundle: Annotated[
        Path | None, typer.Option("--bundle", "-b", metavar="FILE", help="Check against this bundle too.")
    ] = None,
    port: Annotated[int | None, typer.Option("--port", min=1, max=65535, help="Port of the service; 8080.")] = None,
    user: hosts_by.UserOption = None,
    key: hosts_by.KeyOption = None,
    ssh_config: hosts_by.SshConfigOption = None,
    known_hosts: hosts_by.KnownHostsOption = None,
    become_password_file: hosts_by.BecomePasswordOption = None,
    connect_timeout: hosts_by.TimeoutOption = hosts_by.DEFAULT_TIMEOUT_S,
    json: JsonOption = False,
) -> None:
    """Check this machine, or hosts: system, processor, memory, disk, ports, clock, GPU, driver, container, audio.

    Changes nothing. Without hosts it looks at the machine it runs on, as whoever runs it.
    """
    from voicectl.provision.preflight import judge, preflight_error, report_document

    ssh = hosts_by.ssh_of(
        user=user,
        key=key,
        config=ssh_config,
        known_hosts=known_hosts,
        become_password_file=become_password_file,
        timeout_s=connect_timeout,
    )
    selection = hosts_by.selection_of(hosts, inventory, local) if hosts or inventory else None
    needs = _needs(bundle, profile, port, as_root=selection is not None or os.geteuid() == 0)
    reports = _reports(selection, ssh, needs) if selection else (judge(_here(), needs),)
    output = Output(json=json)
    error = preflight_error(reports)
    document = {
        "hosts": {
            report.host: {
                "exit_code": report.exit_code,
                "error": None if report.failure is None else report.failure.message,
                "checks": report_document(report),
            }
            for report in reports
        },
        "exit_code": error.exit_code if error else 0,
    }
    output.result(document, lambda console: _render(console, reports))
    if error is not None:
        raise typer.Exit(error.exit_code)


def _needs(bundle: Path | None, profile: str | None, port: int | None, *, as_root: bool) -> "Needs":
    from voicectl.service.installing.needs import bundle_needs, chosen_profile, profile_needs

    if bundle is None:
        if profile is not None:
            from voicectl.core.config import profile_path

            profile_path(profile)
        return profile_needs(profile, port=port, as_root=as_root)
    from voicectl.weights.bundle.verify import opened, read_head

    # Whether it is signed, and whole, is for `bundle verify` and `install` to say: here it is only read.
    with opened(bundle) as file:
        manifest = read_head(file, bundle).manifest
    return bundle_needs(manifest, chosen_profile(manifest, profile), port=port)


def _here() -> Any:
    from voicectl.provision.preflight import look_at_this_machine

    return look_at_this_machine()


def _reports(selection: "Selection", ssh: "SshOptions", needs: "Needs") -> "tuple[HostReport, ...]":
    from voicectl.provision.operation import operation
    from voicectl.provision.preflight import judge, look_at_hosts

    with (
        run_view(sys.stderr) as view,
        operation("doctor", selection, ssh, state_path(), changes=False) as work,
    ):
        view.looking(work.hosts)
        return tuple(judge(look, needs) for look in look_at_hosts(work.session, work.hosts))


def _render(console: "Console", reports: "Sequence[HostReport]") -> None:
    from rich.markup import escape
    from rich.table import Table

    styles = {"ok": "green", "warn": "yellow", "fail": "bold red"}
    for report in reports:
        if len(reports) > 1 or report.failure is not None:
            console.print(f"\n{report.host}" if report is not reports[0] else report.host, style="bold", markup=False)
        if report.failure is not None:
            console.print(f"  fail  {report.failure.message}", markup=False)
            console.print(f"        fix: {report.failure.hint}", markup=False)
            continue
        table = Table(box=None, pad_edge=False, show_header=False)
        table.add_column("level", no_wrap=True)
        table.add_column("check", no_wrap=True)
        table.add_column("detail", overflow="fold")
        for finding in report.findings:
            table.add_row(f"[{styles[finding.level]}]{finding.level}[/]", finding.name, escape(finding.detail))
            if finding.fix and finding.level != "ok":
                table.add_row("", "", escape(f"fix: {finding.fix}"))
        console.print(table)
