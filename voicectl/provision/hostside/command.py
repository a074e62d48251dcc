"""The command line of a host's release program: parses, calls one function, prints one document."""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, NoReturn

from .detached import can_detach, run_detached
from .faults import BadUsage, DriftFound, Locked, ReleaseError
from .layout import Layout, checked_id
from .lock import refuse_locked
from .releases import Releases
from .report import status
from .running import ENVIRONMENT
from .telling import print_document, tell

DRIFT_CODE: Final = DriftFound.exit_code
_DETACHED: Final = ("activate", "rollback")


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise BadUsage(message, hint=f"{self.prog} --help")


def run() -> NoReturn:
    """Run the command line of this process and end it with the exit code of what came of it."""
    # Nothing of who calls reaches what is called from here.
    os.environ.clear()
    os.environ.update(ENVIRONMENT)
    os.umask(0o022)
    document = answer(sys.argv[1:])
    if not document.pop("quiet", False):
        print_document(document)
    sys.exit(document["exit_code"])


def answer(arguments: Sequence[str]) -> dict[str, Any]:
    """Return the document of a command line; `exit_code` is always in it."""
    try:
        options = _parser().parse_args(arguments)
        if options.command in _DETACHED and not options.here and can_detach(options.root):
            refuse_locked(Layout(options.root).lock)
            return run_detached(arguments)
        document = _called(options, " ".join(arguments))
    except Locked as error:
        if options.command != "recover" or not (options.boot or options.quiet):
            return _failed(error)
        # Units that call this depend on it, and a change that lives was not cut off: it restarts them itself.
        return {"changed": False, "recovered": False, "locked": error.message, "quiet": options.quiet, "exit_code": 0}
    except ReleaseError as error:
        return _failed(error)
    if options.command == "recover" and options.quiet and not document["changed"]:
        document["quiet"] = True
    return {**document, "exit_code": DRIFT_CODE if document.get("drift") else 0}


def _failed(error: ReleaseError) -> dict[str, Any]:
    tell(f"error: {error.message}" + (f"\nhint:  {error.hint}" if error.hint else ""))
    return error.document()


def _called(options: argparse.Namespace, command: str) -> dict[str, Any]:
    layout = Layout(options.root)
    if options.command == "status":
        return status(layout)
    releases = Releases(layout, command)
    calls: dict[str, Callable[[], dict[str, Any]]] = {
        "prepare": lambda: releases.prepare(options.release),
        "stage": lambda: releases.stage(options.release, options.tainted),
        "gate": lambda: releases.gate(options.release),
        "activate": lambda: releases.activate(options.release, allow_downgrade=options.allow_downgrade),
        "rollback": lambda: releases.rollback(options.to),
        "recover": lambda: releases.recover(at_boot=options.boot),
        "verify": lambda: releases.verify(deep=options.deep, accept=options.accept),
        "prune": releases.prune,
    }
    return calls[options.command]()


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="release", description="Place, gate, activate and roll back releases of this host.")
    parser.add_argument("--root", type=_folder, default=Path("/"), help="folder that stands for / (default: /)")
    commands = parser.add_subparsers(dest="command", required=True, parser_class=_Parser)
    for name, text in (
        ("prepare", "tell whether a release is known; clear away what is left of one that is not"),
        ("stage", "check a placed release and know it from now on"),
        ("gate", "let a release answer the golden call beside the service"),
        ("activate", "let a staged release serve, if it passes its gates"),
    ):
        command = commands.add_parser(name, help=text, description=text)
        command.add_argument("release", type=_release, metavar="RELEASE")
        if name == "stage":
            command.add_argument("--tainted", metavar="REASON", help="remember that it was not checked as it should be")
        if name == "activate":
            command.add_argument("--allow-downgrade", action="store_true", help="take a lower serial, too")
            command.add_argument("--here", action="store_true", help="not in a unit of its own")
    rollback = commands.add_parser("rollback", help="let an earlier release serve again")
    rollback.add_argument("--to", type=_release, metavar="RELEASE", help="the one before by default")
    rollback.add_argument("--here", action="store_true", help="not in a unit of its own")
    recover = commands.add_parser("recover", help="take back a change that was interrupted")
    recover.add_argument("--boot", action="store_true", help="the service is not started yet")
    recover.add_argument("--quiet", action="store_true", help="print nothing when there was nothing to do")
    commands.add_parser("status", help="tell which release serves, and how")
    verify = commands.add_parser("verify", help="compare the host with what was recorded of it")
    verify.add_argument("--deep", action="store_true", help="read every byte")
    verify.add_argument("--accept", action="store_true", help="take the configuration as it is now for the wanted one")
    commands.add_parser("prune", help="remove releases that nothing needs")
    return parser


def _release(text: str) -> str:
    try:
        return checked_id(text)
    except BadUsage as error:
        raise argparse.ArgumentTypeError(error.message) from error


def _folder(text: str) -> Path:
    path = Path(text)
    if not path.is_absolute() or not path.is_dir() or path.resolve() != path:
        raise argparse.ArgumentTypeError(f"{text} is no folder by its full name")
    return path
