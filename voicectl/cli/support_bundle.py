"""`voicectl support-bundle`: one file for whoever helps, without keys and without anything that callers said."""

import platform
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Final

import typer

from voicectl import __version__
from voicectl.cli import host_options as hosts_by
from voicectl.cli.options import JsonOption
from voicectl.cli.output import Output
from voicectl.cli.run_view import run_view
from voicectl.core.errors import UsageError
from voicectl.core.paths import state_path

OPERATOR_FOLDER: Final = "operator"

app = typer.Typer(add_completion=False, rich_markup_mode="markdown")


@app.command("support-bundle", epilog="Example: voicectl support-bundle --output support.tar.gz root@gw1")
def support_bundle_command(
    hosts: hosts_by.HostsArgument = None,
    *,
    output_file: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="The file to write, a tar.gz.")
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
    """Collect logs, unit, release state, facts and sizes of hosts, and this machine's record of runs.

    Keys, passwords and tokens are taken out; conversations are not looked at. Read the file before you send it.
    """
    from voicectl.provision.errors import HostUnreachable
    from voicectl.provision.operation import operation
    from voicectl.provision.supportbundle import collect_hosts, operator_texts, write_archive

    path = output_file or Path(f"voicectl-support-{datetime.now(UTC):%Y%m%dT%H%M%S}.tar.gz")
    if path.exists():
        raise UsageError(f"--output {path}: exists already", hint="name another file, or remove it")
    if not path.absolute().parent.is_dir():
        raise UsageError(f"--output {path}: the folder {path.parent} does not exist")
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
        operation("support-bundle", selection, ssh, state_path(), changes=False) as work,
    ):
        view.looking(work.hosts)
        texts = collect_hosts(work.session, work.hosts)
    about = {
        "voicectl": __version__,
        "python": platform.python_version(),
        "system": platform.platform(),
        **{name: version(name) for name in ("ansible-core", "ansible-runner")},
    }
    silent = [host for host, files in texts.items() if "unreachable.txt" in files]
    names = write_archive(path, {OPERATOR_FOLDER: operator_texts(state_path(), about), **texts})
    output = Output(json=json)
    size = path.stat().st_size
    document = {"file": str(path), "size_bytes": size, "files": names, "unreachable": silent}
    output.result(document, lambda console: console.print(f"{path}: {len(names)} files, {size} bytes", markup=False))
    if silent:
        output.note(f"not reached: {', '.join(silent)}")
        raise typer.Exit(HostUnreachable.exit_code)
