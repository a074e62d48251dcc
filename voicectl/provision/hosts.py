"""Hosts as an operator names them: on the command line, in an inventory file, or this machine. Reaches none."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from voicectl.core.errors import ConfigError, UsageError

LOCAL_NAME: Final = "localhost"
GROUP: Final = "voicectl"
PYTHON: Final = "/usr/bin/python3"
DEFAULT_PORT: Final = 22

_NAME: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,251}[A-Za-z0-9])?")
_USER: Final = re.compile(r"[A-Za-z_][A-Za-z0-9._-]{0,63}")
_ADDRESS_V6: Final = re.compile(r"[0-9A-Fa-f:.]+(%[A-Za-z0-9._-]+)?")
_LOCAL_CONNECTIONS: Final = frozenset({"local", "ansible.builtin.local"})


@dataclass(frozen=True, slots=True)
class Host:
    """One host: its name, and what Ansible has to know to reach it."""

    name: str
    variables: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_local(self) -> bool:
        """Return whether this is the machine the command runs on."""
        return self.variables.get("ansible_connection") in _LOCAL_CONNECTIONS

    @property
    def address(self) -> str:
        """Return where the host is, for people and for its lock: the same for every name of a host."""
        if self.is_local:
            return LOCAL_NAME
        place = str(self.variables.get("ansible_host", self.name))
        port = int(self.variables.get("ansible_port", DEFAULT_PORT))
        return place if port == DEFAULT_PORT else f"{place}:{port}"

    @property
    def user(self) -> str | None:
        """Return the login that was asked for; None leaves it to ssh."""
        user = self.variables.get("ansible_user", self.variables.get("ansible_ssh_user"))
        return None if user is None else str(user)

    def having(self, **variables: Any) -> "Host":
        """Return this host with more variables; those that it has already win."""
        return Host(self.name, {**variables, **self.variables})


def local_host() -> Host:
    """Return the machine the command runs on."""
    return Host(LOCAL_NAME, {"ansible_connection": "local"})


def parse_hosts(texts: Sequence[str]) -> tuple[Host, ...]:
    """Return the hosts of a command line, each `[USER@]HOST[:PORT]`. Raises UsageError."""
    hosts = [parse_host(text) for text in texts]
    addresses = [host.address for host in hosts]
    twice = sorted({address for address in addresses if addresses.count(address) > 1})
    if twice:
        raise UsageError(f"{twice[0]} is named twice", hint="name each host once")
    names = [host.name for host in hosts]
    # Hosts behind one address differ by their port. A colon would not do: to an inventory it begins a port.
    return tuple(
        host if names.count(host.name) == 1 else Host(host.address.replace(":", "-"), host.variables) for host in hosts
    )


def parse_host(text: str) -> Host:
    """Return one host of a command line. An IPv6 address with a port stands in brackets. Raises UsageError."""
    user, at, rest = text.rpartition("@")
    place, port = _split_port(rest)
    if not (_NAME.fullmatch(place) or (":" in place and _ADDRESS_V6.fullmatch(place))):
        raise UsageError(f"{text!r} is no host", hint="write it as HOST, USER@HOST or USER@HOST:PORT")
    if at and not _USER.fullmatch(user):
        raise UsageError(f"{text!r}: {user!r} is no login name", hint="write it as USER@HOST")
    variables: dict[str, Any] = {"ansible_host": place}
    if port is not None:
        if not port.isdecimal() or not 0 < int(port) < 65536:
            raise UsageError(f"{text!r}: {port!r} is no port", hint="a port is a number from 1 to 65535")
        variables["ansible_port"] = int(port)
    if at:
        variables["ansible_user"] = user
    return Host(place, variables)


def listed_hosts(listing: Mapping[str, Any], origin: str) -> tuple[Host, ...]:
    """Return the hosts of an inventory as `ansible-inventory --list` tells them. Raises ConfigError."""
    variables = listing.get("_meta", {}).get("hostvars", {})
    names = list(dict.fromkeys(_members(listing, "all")))
    if not names:
        raise ConfigError(f"{origin}: names no host", hint="one host a line is enough; see docs/installation.md")
    for name in names:
        unsafe = [key for key, value in variables.get(name, {}).items() if _is_secret_ciphertext(value)]
        if unsafe:
            raise ConfigError(
                f"{origin}: {name}: {unsafe[0]} is encrypted with Ansible Vault, which is not supported",
                hint="use keys for ssh, and --become-password-file for sudo",
            )
    return tuple(Host(name, variables.get(name, {})) for name in names)


def inventory_document(hosts: Iterable[Host]) -> dict[str, Any]:
    """Return the inventory of a run: all hosts, also as the group `voicectl`."""
    entries = {host.name: {"ansible_python_interpreter": PYTHON, **host.variables} for host in hosts}
    return {"all": {"hosts": entries, "children": {GROUP: {"hosts": {name: {} for name in entries}}}}}


def _members(listing: Mapping[str, Any], group: str) -> list[str]:
    entry = listing.get(group, {})
    members = list(entry.get("hosts", []))
    for child in entry.get("children", []):
        members += _members(listing, child)
    return members


def _is_secret_ciphertext(value: Any) -> bool:
    return isinstance(value, dict) and "__ansible_vault" in value


def _split_port(text: str) -> tuple[str, str | None]:
    if text.startswith("["):
        place, bracket, rest = text[1:].partition("]")
        return (place, rest[1:] if rest.startswith(":") else None) if bracket else (text, None)
    if text.count(":") == 1:
        place, _, port = text.partition(":")
        return place, port
    return text, None
