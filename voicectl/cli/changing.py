"""Run one playbook that changes hosts, from the command line: what `rollback` and `uninstall` have in common."""

import shutil
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from voicectl.cli.output import Output
from voicectl.cli.run_result import end_with, print_run, run_document, tell_failures, tell_interruption
from voicectl.cli.run_view import run_view
from voicectl.core.paths import cache_path, state_path

if TYPE_CHECKING:
    from voicectl.provision.operation import Selection
    from voicectl.provision.ssh import SshOptions


def change_hosts(
    command: Literal["rollback", "uninstall"],
    selection: "Selection",
    ssh: "SshOptions",
    variables: Mapping[str, Any],
    *,
    json: bool,
) -> None:
    """Run the playbook of a command over all hosts, tell how it ended, and exit with the code of the worst host."""
    from voicectl.provision.operation import operation
    from voicectl.provision.playbooks import own_play, playbook_path
    from voicectl.provision.program import FILE_NAME, write_program
    from voicectl.provision.runs import run_playbook

    output = Output(json=json)
    with (
        run_view(sys.stderr) as view,
        operation(command, selection, ssh, state_path(), changes=True) as work,
    ):
        for address, run in work.unfinished.items():
            view.resuming(address, run)
        program = work.folder / FILE_NAME
        write_program(program)
        result = run_playbook(
            work.session,
            playbook_path(command),
            work.hosts,
            {"voicectl_release_program": str(program), **variables},
            view,
            run_id=work.run_id,
            journal=work.journal,
        )
        work.keep_output = result.exit_code != 0
        if command == "uninstall" and result.exit_code == 0:
            # Ansible's own folder on the host; whether it goes does not matter to the outcome.
            work.session.play(own_play("tidy"), work.hosts, {}, on_event=lambda _event: None)
            if selection.local and variables.get("voicectl_purge"):
                from voicectl.service.installing.bundles import FOLDER

                shutil.rmtree(cache_path() / FOLDER, ignore_errors=True)
    tell_failures(result)
    output.result(run_document(command, result), lambda console: print_run(console, command, result))
    if result.interrupted:
        tell_interruption(output, command, result)
    end_with(result)
