"""`voicectl uninstall`: hosts as they were before; what they keep of their data is the operator's choice."""

from typing import Annotated

import typer

from voicectl.cli import host_options as hosts_by
from voicectl.cli.changing import change_hosts
from voicectl.cli.options import JsonOption

app = typer.Typer(add_completion=False, rich_markup_mode="markdown")


@app.command("uninstall", epilog="Example: voicectl uninstall root@gw1")
def uninstall_command(
    hosts: hosts_by.HostsArgument = None,
    *,
    purge: Annotated[
        bool, typer.Option("--purge", help="Also remove weights, configuration, keys and conversations.")
    ] = False,
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
    """Remove service, releases, firewall rules and user. Live calls end. /etc/voicectl and /var/lib/voicectl stay."""
    change_hosts(
        "uninstall",
        hosts_by.selection_of(hosts, inventory, local),
        hosts_by.ssh_of(
            user=user,
            key=key,
            config=ssh_config,
            known_hosts=known_hosts,
            become_password_file=become_password_file,
            timeout_s=connect_timeout,
        ),
        {"voicectl_purge": purge},
        json=json,
    )
