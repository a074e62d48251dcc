"""The entry point: finds the command, loads only its module, and turns failures into exit codes."""

import importlib
import sys
import traceback
from collections.abc import Sequence
from typing import Annotated, Any, Final, NamedTuple

import typer
from typer.core import TyperCommand, TyperGroup

from voicectl import __version__
from voicectl.cli.output import Output, forget_stdout, report_error, take_any_text, though_unread
from voicectl.core.errors import UsageError, VoicectlError

EXIT_BUG: Final = 1
EXIT_INTERRUPTED: Final = 130


class Entry(NamedTuple):
    """Where a command lives, and its line in `voicectl --help`."""

    module: str
    app: str
    help: str


COMMANDS: Final[dict[str, Entry]] = {
    "talk": Entry("voicectl.cli.talk", "app", "Talk with the appliance: microphone, WAV files or text."),
    "say": Entry("voicectl.cli.oneshot", "say_app", "Speak a text with the profile's voice."),
    "transcribe": Entry("voicectl.cli.oneshot", "transcribe_app", "Print the words of an audio file."),
    "serve": Entry("voicectl.cli.serve", "app", "Answer calls at /v1/realtime until stopped."),
    "bench": Entry("voicectl.cli.bench", "app", "Measure a server under calls; compare and report runs."),
    "keys": Entry("voicectl.cli.keys", "app", "Make, list and revoke the gateway's API keys."),
    "bundle": Entry("voicectl.cli.bundle", "app", "Build, sign and check the file that installs hosts."),
    "models": Entry("voicectl.cli.models", "app", "Fetch, verify and list the pinned models."),
    "install": Entry("voicectl.cli.install", "app", "Install a bundle on hosts without a network."),
    "upgrade": Entry("voicectl.cli.upgrade", "app", "Bring a newer release to hosts that have one."),
    "rollback": Entry("voicectl.cli.rollback", "app", "Go back to the release before, or to another one."),
    "status": Entry("voicectl.cli.status", "app", "Tell what hosts serve, and whether they are as installed."),
    "doctor": Entry("voicectl.cli.doctor", "app", "Check whether this machine, or hosts, are fit."),
    "uninstall": Entry("voicectl.cli.uninstall", "app", "Remove voicectl from hosts; keeps data unless --purge."),
    "support-bundle": Entry("voicectl.cli.support_bundle", "app", "Collect what support needs, without secrets."),
    "plan": Entry("voicectl.cli.plan", "app", "Size hosts for a demand: calls, memory, latency, costs."),
    "calls": Entry("voicectl.cli.calls", "app", "List, show, export, complete and score call records."),
    "audit": Entry("voicectl.cli.audit", "app", "Prove, read and sign the audit log."),
    "gate": Entry("voicectl.cli.gate", "app", "Decide whether a use case may move a risk tier up."),
    "report": Entry("voicectl.cli.report", "app", "Write weekly, monthly and quarterly digests of calls."),
    "profile": Entry("voicectl.cli.profile", "app", "List, show and check what to run on which hardware."),
}


def _show_flags_as_flags(command: Any) -> None:
    """Let `--help` name no value where an option takes none; typer shows flags as `--json <bool>`."""
    params_of = command.get_params

    def get_params(ctx: Any) -> list[Any]:
        found: list[Any] = params_of(ctx)
        for option in found:
            if getattr(option, "is_flag", False) and option.metavar is None:
                option.metavar = ""
        return found

    command.get_params = get_params
    for one in getattr(command, "commands", {}).values():
        _show_flags_as_flags(one)


class LazyCommands(TyperGroup):
    """A group whose commands are known by name and help; a module is imported when its command runs."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        for name, entry in COMMANDS.items():
            self.commands[name] = TyperCommand(name, help=entry.help)
        _show_flags_as_flags(self)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return the command that `args` name, loaded."""
        name, command, rest = super().resolve_command(ctx, args)
        if name in COMMANDS:
            entry = COMMANDS[name]
            command = typer.main.get_command(getattr(importlib.import_module(entry.module), entry.app))
            command.name = name
            _show_flags_as_flags(command)
        return name, command, rest

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names in the order of `--help`."""
        return list(COMMANDS)


app = typer.Typer(
    cls=LazyCommands,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        Output().text(f"voicectl {__version__}\n")
        raise typer.Exit


@app.callback()
def voicectl(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """A private voice-agent appliance: speech in, speech out, nothing leaves the host."""


def run() -> None:
    """Run the command line of this process and exit with its status."""
    take_any_text()
    status = main(sys.argv[1:])
    try:
        with though_unread():
            sys.stdout.flush()
    except VoicectlError as error:
        report_error(error, as_json=False)
        status = error.exit_code
    sys.exit(status)


def main(arguments: Sequence[str], application: typer.Typer = app) -> int:
    """Run one command line and return its exit status (`docs/architecture.md`, "Exit codes")."""
    as_json = "--json" in arguments
    try:
        status = application(args=list(arguments), prog_name="voicectl", standalone_mode=False)
    except VoicectlError as error:
        report_error(error, as_json=as_json)
        return error.exit_code
    except typer.TyperException as error:
        return _usage_failed(error, as_json=as_json)
    except (KeyboardInterrupt, typer.Abort):
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # The reader of our output has gone, for example `voicectl … | head`: nobody is left to tell.
        forget_stdout()
        return 0
    except Exception:  # noqa: BLE001 - the edge of the program
        traceback.print_exc()
        sys.stderr.write("error: this is a bug of ours; please report it with the lines above\n")
        return EXIT_BUG
    return status if isinstance(status, int) else 0


def _usage_failed(error: typer.TyperException, *, as_json: bool) -> int:
    context = getattr(error, "ctx", None)
    message = error.format_message()
    if not message:
        # A group without its command has already answered with its help.
        return UsageError.exit_code
    command = context.command_path if context is not None else "voicectl"
    report_error(UsageError(message, hint=f"see `{command} --help`"), as_json=as_json)
    return error.exit_code
