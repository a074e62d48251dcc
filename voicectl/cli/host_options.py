"""Options that say which hosts are meant and how to reach them, shared by all commands over hosts."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from voicectl.core.errors import UsageError

if TYPE_CHECKING:
    from voicectl.provision.operation import Selection
    from voicectl.provision.ssh import SshOptions

HostsArgument = Annotated[
    list[str] | None, typer.Argument(metavar="HOST", help="Hosts, each [USER@]HOST[:PORT].", show_default=False)
]
InventoryOption = Annotated[
    Path | None, typer.Option("--inventory", "-i", metavar="FILE", help="All hosts of an Ansible inventory.")
]
LocalOption = Annotated[bool, typer.Option("--local", help="This machine.")]
UserOption = Annotated[str | None, typer.Option("--user", "-u", metavar="NAME", help="Login; root, or one with sudo.")]
KeyOption = Annotated[Path | None, typer.Option("--key", metavar="FILE", help="Private key for ssh.")]
SshConfigOption = Annotated[
    Path | None, typer.Option("--ssh-config", metavar="FILE", help="Configuration of ssh; without it, your own.")
]
KnownHostsOption = Annotated[
    Path | None,
    typer.Option("--known-hosts", metavar="FILE", help="Believe only these host keys; without it, new ones too."),
]
BecomePasswordOption = Annotated[
    Path | None, typer.Option("--become-password-file", metavar="FILE", help="File with the password for sudo.")
]
TimeoutOption = Annotated[
    int, typer.Option("--connect-timeout", metavar="SECONDS", min=1, max=600, help="Longest wait for a host to answer.")
]
DEFAULT_TIMEOUT_S = 10


def selection_of(hosts: list[str] | None, inventory: Path | None, local: bool) -> "Selection":
    """Return the hosts that the options mean. Raises UsageError."""
    from voicectl.provision.operation import Selection

    return Selection(tuple(hosts or ()), inventory, local).checked()


def ssh_of(
    *,
    user: str | None,
    key: Path | None,
    config: Path | None,
    known_hosts: Path | None,
    become_password_file: Path | None,
    timeout_s: int,
) -> "SshOptions":
    """Return how to reach hosts. Raises UsageError for a file that is not there."""
    from voicectl.provision.ssh import SshOptions

    return SshOptions(user, key, config, known_hosts, become_password_file, timeout_s).checked()


def networks(texts: list[str] | None) -> tuple[str, ...] | None:
    """Return networks in CIDR notation, None when none was given. Raises UsageError."""
    import ipaddress

    if texts is None:
        return None
    found = []
    for text in (part.strip() for given in texts for part in given.split(",")):
        try:
            found.append(str(ipaddress.ip_network(text, strict=False)))
        except ValueError as error:
            raise UsageError(
                f"--allow-from {text!r} is no network", hint="write it as 10.20.0.0/16, or as one address"
            ) from error
    return tuple(dict.fromkeys(found))


def address(text: str | None) -> str | None:
    """Return an IP address to listen on. Raises UsageError."""
    import ipaddress

    if text is None:
        return None
    try:
        return str(ipaddress.ip_address(text))
    except ValueError as error:
        hint = "give an address of the host, 127.0.0.1 for itself alone, or 0.0.0.0"
        raise UsageError(f"--bind {text!r} is no address", hint=hint) from error
