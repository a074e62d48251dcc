"""How hosts are reached by ssh: the options of a command, as settings of Ansible. Starts no connection."""

import shlex
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from voicectl.core.errors import UsageError
from voicectl.provision.hosts import Host

CONNECT_TIMEOUT_S: Final = 10
ROOT: Final = "root"
_QUERY_TIMEOUT_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class SshOptions:
    """What an operator may say about ssh. Without `known_hosts`, new hosts are believed and changed keys refused."""

    user: str | None = None
    key: Path | None = None
    config: Path | None = None
    known_hosts: Path | None = None
    become_password_file: Path | None = None
    connect_timeout_s: int = CONNECT_TIMEOUT_S

    def checked(self) -> "SshOptions":
        """Return the options with absolute paths. Raises UsageError for a file that is not there."""
        files = {
            "--key": self.key,
            "--ssh-config": self.config,
            "--known-hosts": self.known_hosts,
            "--become-password-file": self.become_password_file,
        }
        for option, path in files.items():
            if path is not None and not path.is_file():
                raise UsageError(f"{option} {path}: no such file")
        key, config, known_hosts, password = (None if path is None else path.absolute() for path in files.values())
        return SshOptions(self.user, key, config, known_hosts, password, self.connect_timeout_s)

    def arguments(self) -> list[str]:
        """Return the arguments of ssh. Nothing is ever asked, so a missing password is an error and no prompt."""
        arguments = ["-F", str(self.config)] if self.config is not None else []
        for option in self._options():
            arguments += ["-o", option]
        return arguments

    def environment(self, control_folder: Path) -> dict[str, str]:
        """Return the settings for Ansible; sockets of open connections are kept in `control_folder`."""
        settings = {
            "ANSIBLE_HOST_KEY_CHECKING": "True",
            "ANSIBLE_SSH_ARGS": shlex.join(self.arguments()),
            "ANSIBLE_SSH_CONTROL_PATH_DIR": str(control_folder),
            "ANSIBLE_SSH_CONTROL_PATH": "%(directory)s/%%C",
            "ANSIBLE_TIMEOUT": str(self.connect_timeout_s),
            "ANSIBLE_PIPELINING": "True",
        }
        if self.user is not None:
            settings["ANSIBLE_REMOTE_USER"] = self.user
        if self.key is not None:
            settings["ANSIBLE_PRIVATE_KEY_FILE"] = str(self.key)
        if self.become_password_file is not None:
            settings["ANSIBLE_BECOME_PASSWORD_FILE"] = str(self.become_password_file)
        return settings

    def _options(self) -> list[str]:
        options = [
            "BatchMode=yes",
            "ControlMaster=auto",
            "ControlPersist=60s",
            f"ConnectTimeout={self.connect_timeout_s}",
            "ServerAliveInterval=10",
            "ServerAliveCountMax=3",
        ]
        if self.known_hosts is None:
            options.append("StrictHostKeyChecking=accept-new")
        else:
            options += [f"UserKnownHostsFile={self.known_hosts}", "StrictHostKeyChecking=yes"]
        if self.key is not None:
            # Keys of an agent would be offered first, and some servers give up after a few.
            options.append("IdentitiesOnly=yes")
        return options


def with_root(hosts: Sequence[Host], options: SshOptions) -> tuple[Host, ...]:
    """Return the hosts with how to become root on each: not at all where the login is root, else by sudo."""
    return tuple(host if host.is_local else _with_root(host, options) for host in hosts)


def _with_root(host: Host, options: SshOptions) -> Host:
    user = host.user or options.user or _configured_user(host, options)
    return host.having(ansible_user=user, ansible_become=user != ROOT) if user else host.having(ansible_become=True)


def _configured_user(host: Host, options: SshOptions) -> str | None:
    """Return the login that ssh's own configuration says; None where ssh cannot tell."""
    place = str(host.variables.get("ansible_host", host.name))
    try:
        told = subprocess.run(  # noqa: S603 - a list of arguments, the address was checked
            ["ssh", "-G", *options.arguments(), "--", place],  # noqa: S607 - the operator's own ssh
            capture_output=True,
            text=True,
            timeout=_QUERY_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    lines = dict(line.partition(" ")[::2] for line in told.stdout.splitlines())
    return lines.get("user") or None
