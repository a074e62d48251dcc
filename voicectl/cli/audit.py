"""`voicectl audit`: prove, read and sign the audit log."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from voicectl.cli.options import JsonOption
from voicectl.cli.output import Output
from voicectl.core.errors import ConfigError, UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from voicectl.governance.audit.entry import Entry
    from voicectl.governance.audit.verify import Verification

MAX_SHOWN: Final = 100_000
FolderOption = Annotated[
    Path | None, typer.Option("--folder", metavar="DIR", help="The audit log; by default the one of this host.")
]
KeyOption = Annotated[
    Path | None, typer.Option("--key", metavar="FILE", help="The private key; by default audit.key of this host.")
]

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Prove, read and sign the audit log.")


@app.command("init", epilog="Example: voicectl audit init && cp /var/lib/voicectl/audit/audit.pub /mnt/auditor/")
def init_command(
    *,
    reason: Annotated[
        str, typer.Option("--reason", metavar="TEXT", help="Why the log begins now; its first entry says it.")
    ] = "voicectl audit init",
    folder: FolderOption = None,
    key: KeyOption = None,
    json: JsonOption = False,
) -> None:
    """Begin the audit log, and make the key that signs its checkpoints; what is there already stays.

    Without this the service begins the log, and the key is made at the first checkpoint.
    """
    from voicectl.governance.audit.keys import fingerprint, key_path, private_key, public_path
    from voicectl.governance.audit.log import AuditLog, audit_folder
    from voicectl.governance.audit.trail import begin_log

    audit, path = AuditLog(folder or audit_folder()), key or key_path()
    begun = begin_log(audit, path, reason)
    name = fingerprint(private_key(path).public_key())
    output = Output(json=json)
    output.note(f"keep a copy of {public_path(path)} where this host cannot write: it proves the log to an auditor")
    if begun:
        output.note(f"{audit.folder}: a new log begins: {reason}")
    document = {
        "private_key": str(path),
        "public_key": str(public_path(path)),
        "fingerprint": name,
        "log_begun": begun,
    }
    output.result(document, lambda console: console.print(f"{public_path(path)}  {name}", markup=False))


@app.command("checkpoint", epilog="Example: voicectl audit checkpoint --output /mnt/auditor/2026-11.json")
def checkpoint_command(
    *,
    output_file: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Also write a copy here, off this host.")
    ] = None,
    folder: FolderOption = None,
    key: KeyOption = None,
    json: JsonOption = False,
) -> None:
    """Sign how far the log has come. A copy that is kept elsewhere proves that nothing before it was changed."""
    from json import loads

    from voicectl.governance.audit.checkpoint import CHECKPOINT_FILE
    from voicectl.governance.audit.keys import key_path
    from voicectl.governance.audit.log import AuditLog, audit_folder
    from voicectl.governance.audit.trail import sign_checkpoint

    audit = AuditLog(folder or audit_folder())
    content = sign_checkpoint(audit, key or key_path())
    places = [audit.folder / CHECKPOINT_FILE]
    if output_file is not None:
        try:
            output_file.write_bytes(content)
        except OSError as error:
            raise ConfigError(
                f"{output_file}: cannot be written: {error.strerror}", hint="name another file"
            ) from error
        places.append(output_file)
    facts: dict[str, Any] = loads(content)["checkpoint"]
    output = Output(json=json)
    output.result(
        {**facts, "files": [str(place) for place in places]},
        lambda console: console.print(
            f"signed up to entry {facts['sequence']}: {', '.join(map(str, places))}", markup=False
        ),
    )


@app.command("verify", epilog="Example: voicectl audit verify --checkpoint 2026-11.json --public-key audit.pub")
def verify_command(
    *,
    checkpoint: Annotated[
        Path | None,
        typer.Option("--checkpoint", metavar="FILE", help="A signed checkpoint; by default the last one of the log."),
    ] = None,
    public_key: Annotated[
        Path | None,
        typer.Option("--public-key", metavar="FILE", help="Who signed it; by default the key of this host."),
    ] = None,
    folder: FolderOption = None,
    json: JsonOption = False,
) -> int:
    """Check every byte of the log. Exits 25 and names the first place that is not what was written."""
    from voicectl.governance.audit.checkpoint import CHECKPOINT_FILE, read_checkpoint
    from voicectl.governance.audit.keys import key_path, public_path
    from voicectl.governance.audit.keys import public_key as read_key
    from voicectl.governance.audit.log import AuditChainBroken, audit_folder
    from voicectl.governance.audit.verify import verify

    place = folder or audit_folder()
    kept = place / CHECKPOINT_FILE
    signed_at = checkpoint or (kept if kept.exists() else None)
    known = None
    if signed_at is not None:
        known = read_checkpoint(signed_at, read_key(public_key or public_path(key_path())))
    elif public_key is not None:
        raise UsageError("--public-key without a checkpoint", hint="name one: --checkpoint FILE")
    found = verify(place, known)
    output = Output(json=json)
    if known is None:
        output.note("no checkpoint: entries cut off the end, or a log made anew, would not be found")
    elif checkpoint is None or public_key is None:
        output.note("checkpoint and key are of this host; use copies that it cannot write: --checkpoint, --public-key")
    output.result(_document(place, found), lambda console: _print(console, place, found))
    return 0 if found.intact else AuditChainBroken.exit_code


@app.command("show", epilog="Example: voicectl audit show --kind tier_changed --last 5")
def show_command(
    *,
    kind: Annotated[str | None, typer.Option("--kind", help="Only entries of this kind.")] = None,
    last: Annotated[int, typer.Option("--last", min=1, max=MAX_SHOWN, help="How many, counted from the end.")] = 20,
    folder: FolderOption = None,
    json: JsonOption = False,
) -> None:
    """Print entries, oldest first. It does not check them: that is `voicectl audit verify`."""
    from collections import deque

    from voicectl.governance.audit.kinds import KINDS
    from voicectl.governance.audit.log import audit_folder
    from voicectl.governance.audit.segments import segments
    from voicectl.governance.audit.verify import entries

    if kind is not None and kind not in KINDS:
        raise UsageError(f"--kind {kind}: no such kind", hint=f"kinds are {', '.join(sorted(KINDS))}")
    place = folder or audit_folder()
    if not segments(place):
        raise ConfigError(f"{place}: there is no audit log", hint="the service begins one, or `voicectl audit init`")
    shown = deque((entry for entry in entries(place) if kind is None or entry.kind == kind), maxlen=last)
    Output(json=json).result(
        {"folder": str(place), "entries": [_entry(entry) for entry in shown]},
        lambda console: console.print("\n".join(map(_line, shown)), markup=False),
    )


def _entry(entry: "Entry") -> dict[str, Any]:
    return {
        "sequence": entry.sequence,
        "at": _time(entry.at),
        "kind": entry.kind,
        "body": dict(entry.body),
        "hash": entry.digest,
    }


def _line(entry: "Entry") -> str:
    facts = " ".join(f"{name}={value}" for name, value in entry.body.items() if value != {})
    return f"{entry.sequence:>6}  {_time(entry.at)}  {entry.kind}  {facts}"


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _document(place: Path, found: "Verification") -> dict[str, Any]:
    broken = found.first_break
    return {
        "folder": str(place),
        "intact": found.intact,
        "log": found.log,
        "files": found.num_files,
        "entries": found.num_entries,
        "proven_to": found.proven,
        "repairs": found.repairs,
        "older_than_one_before": found.num_backward,
        "first_break": None if broken is None else {"file": broken.file, "line": broken.line, "what": broken.what},
    }


def _print(console: "Console", place: Path, found: "Verification") -> None:
    broken = found.first_break
    if broken is not None:
        where = f"{broken.file}:{broken.line}" if broken.line else broken.file
        console.print(f"BROKEN  {where}: {broken.what}", markup=False)
        console.print(f"{found.num_entries} entries before it are intact ({place})", markup=False)
        return
    proven = "nothing is proven by a checkpoint" if found.proven is None else f"proven up to entry {found.proven}"
    console.print(f"intact  {found.num_entries} entries in {found.num_files} files, {proven}", markup=False)
    if found.num_backward:
        console.print(f"{found.num_backward} entries are older than one before them: the clock was set back")
    if found.repairs:
        console.print(f"{found.repairs} entries that a crash left unfinished were repaired", markup=False)
