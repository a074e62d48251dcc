"""`voicectl status`: what each host serves since when, and whether it still is what was installed."""

import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from voicectl.cli import host_options as hosts_by
from voicectl.cli.options import JsonOption
from voicectl.cli.output import Output
from voicectl.cli.run_view import QuietRun, run_view
from voicectl.core.paths import state_path

if TYPE_CHECKING:
    from rich.console import Console

    from voicectl.provision.status import HostStatus

SHOWN_DRIFT: Final = 10

app = typer.Typer(add_completion=False, rich_markup_mode="markdown")


@app.command("status", epilog="Example: voicectl status --inventory hosts.ini")
def status_command(
    hosts: hosts_by.HostsArgument = None,
    *,
    inventory: hosts_by.InventoryOption = None,
    local: hosts_by.LocalOption = False,
    verify: Annotated[bool, typer.Option("--verify", help="First compare every byte with what was installed.")] = False,
    accept: Annotated[
        bool, typer.Option("--accept", help="Take the configuration as it is now for the wanted one.")
    ] = False,
    user: hosts_by.UserOption = None,
    key: hosts_by.KeyOption = None,
    ssh_config: hosts_by.SshConfigOption = None,
    known_hosts: hosts_by.KnownHostsOption = None,
    become_password_file: hosts_by.BecomePasswordOption = None,
    connect_timeout: hosts_by.TimeoutOption = hosts_by.DEFAULT_TIMEOUT_S,
    json: JsonOption = False,
) -> None:
    """Tell what hosts serve. Changes nothing of what they do.

    Ends with 0 when every host serves what was installed on it, 12 when one differs from that, 7 when one cannot
    be reached, 6 when its service is down, 3 when nothing is installed there.
    """
    from voicectl.provision.errors import worst
    from voicectl.provision.operation import operation
    from voicectl.provision.playbooks import playbook_path
    from voicectl.provision.runs import EXIT_INTERRUPTED, run_playbook
    from voicectl.provision.status import read_status

    ssh = hosts_by.ssh_of(
        user=user,
        key=key,
        config=ssh_config,
        known_hosts=known_hosts,
        become_password_file=become_password_file,
        timeout_s=connect_timeout,
    )
    selection = hosts_by.selection_of(hosts, inventory, local)
    with (
        run_view(sys.stderr) as view,
        operation("status", selection, ssh, state_path(), changes=False) as work,
    ):
        view.looking(work.hosts)
        quiet = QuietRun(view)
        if verify or accept:
            wanted = {"voicectl_deep": verify, "voicectl_accept": accept}
            run_playbook(work.session, playbook_path("verify"), work.hosts, wanted, quiet, run_id=work.run_id)
        result = run_playbook(work.session, playbook_path("status"), work.hosts, {}, quiet, run_id=work.run_id)
    if result.interrupted:
        raise typer.Exit(EXIT_INTERRUPTED)
    statuses = [read_status(host, result.outputs.get(name, ())) for name, host in result.hosts.items()]
    code = worst([status.exit_code for status in statuses])
    document = {"hosts": {status.host: _document(status) for status in statuses}, "exit_code": code}
    Output(json=json).result(document, lambda console: _render(console, statuses))
    if code:
        raise typer.Exit(code)


def _document(status: "HostStatus") -> dict[str, Any]:
    told: Mapping[str, Any] = status.told or {}
    return {
        "status": status.word,
        "exit_code": status.exit_code,
        "error": None if status.failure is None else {"message": status.failure.message, "hint": status.failure.hint},
        **{
            key: told.get(key)
            for key in (
                *("release", "version", "serial", "state", "since", "previous", "service", "ready", "tainted", "taint"),
                *("last_verify", "last_verify_ok", "drift", "releases", "attempt", "last_change"),
            )
        },
    }


def _render(console: "Console", statuses: "Sequence[HostStatus]") -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    table.add_column("host", no_wrap=True, max_width=24, overflow="ellipsis")
    table.add_column("status", no_wrap=True)
    table.add_column("release", overflow="fold")
    table.add_column("since (UTC)", no_wrap=True)
    table.add_column("verified", no_wrap=True)
    for status in statuses:
        table.add_row(
            status.host,
            status.word + (" *" if (status.told or {}).get("tainted") else ""),
            status.text("release") or "-",
            _instant(status.text("since")),
            _instant(status.text("last_verify"))[:10],
        )
    console.print(table)
    for status in statuses:
        _render_remarks(console, status)


def _render_remarks(console: "Console", status: "HostStatus") -> None:
    told = status.told or {}
    if status.failure is not None:
        console.print(f"{status.host}: {status.failure.message}\n  fix: {status.failure.hint}", markup=False)
    for reason in told.get("taint") or ():
        console.print(f"{status.host}: * {reason}", markup=False)
    for entry in status.drift[:SHOWN_DRIFT]:
        console.print(f"{status.host}: drift: {entry}", markup=False)
    if len(status.drift) > SHOWN_DRIFT:
        console.print(f"{status.host}: drift: and {len(status.drift) - SHOWN_DRIFT} more", markup=False)
    if status.word == "stopped":
        console.print(f"{status.host}: the service is {status.text('service')}: journalctl -u voicectl", markup=False)


def _instant(text: str | None) -> str:
    return "-" if text is None else text[:16].replace("T", " ")
