"""`voicectl rollback`: the release before, or a named one that is still on the hosts."""

from typing import Annotated, Any

import typer

from voicectl.cli import host_options as hosts_by
from voicectl.cli.changing import change_hosts
from voicectl.cli.options import JsonOption

app = typer.Typer(add_completion=False, rich_markup_mode="markdown")


@app.command("rollback", epilog="Example: voicectl rollback --inventory hosts.ini")
def rollback_command(
    hosts: hosts_by.HostsArgument = None,
    *,
    to: Annotated[
        str | None, typer.Option("--to", metavar="RELEASE", help="A release of `voicectl status --json`.")
    ] = None,
    inventory: hosts_by.InventoryOption = None,
    local: hosts_by.LocalOption = False,
    user: hosts_by.UserOption = None,
    key: hosts_by.KeyOption = None,
    ssh_config: hosts_by.SshConfigOption = None,
    known_hosts: hosts_by.KnownHostsOption = None,
    become_password_file: hosts_by.BecomePasswordOption = None,
    connect_timeout: hosts_by.TimeoutOption = hosts_by.DEFAULT_TIMEOUT_S,
    json: JsonOption = False,
) -> None:
    """Go back to the release before. It has to answer a call before it is trusted again."""
    variables: dict[str, Any] = {"voicectl_rollback_to": to or ""}
    change_hosts(
        "rollback",
        hosts_by.selection_of(hosts, inventory, local),
        hosts_by.ssh_of(
            user=user,
            key=key,
            config=ssh_config,
            known_hosts=known_hosts,
            become_password_file=become_password_file,
            timeout_s=connect_timeout,
        ),
        variables,
        json=json,
    )
