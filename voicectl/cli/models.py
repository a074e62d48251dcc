"""`voicectl models`: fetch, check, list, pin and clean up the weights. Renders what `voicectl.weights` does."""

import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from voicectl.cli.output import Output, ProgressReporter
from voicectl.core.errors import ArtifactMissing, ConfigError, UsageError
from voicectl.core.lockfile import (
    Lock,
    LockedModel,
    ModelFormat,
    ModelRole,
    default_lock_path,
    parse_lock,
    read_lock,
    render_lock,
)
from voicectl.core.paths import store_path
from voicectl.weights.gc import find_garbage, remove_garbage
from voicectl.weights.pin import pin_local, with_model
from voicectl.weights.pull import DEFAULT_JOBS, PulledFile, PullOptions, pull
from voicectl.weights.store import FileCheck, Store

if TYPE_CHECKING:
    from rich.console import Console

MIRROR_VARIABLE: Final = "VOICECTL_MIRROR"
_SHOWN_BYTES: Final = 1_000_000
"""Smaller files come and go too quickly to be worth a line."""

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Fetch, verify and list the pinned models.")

Names = Annotated[list[str] | None, typer.Argument(metavar="NAME", help="Models, by their names in models.lock.")]
ProfileOption = Annotated[str | None, typer.Option("--profile", help="The models of this profile.")]
AllOption = Annotated[bool, typer.Option("--all", help="Every model of the lock file.")]
LockOption = Annotated[Path | None, typer.Option("--lock", metavar="FILE", help="Another lock file.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


@app.command("pull", epilog="Example: voicectl models pull --profile cpu")
def pull_command(
    names: Names = None,
    *,
    profile: ProfileOption = None,
    every: AllOption = False,
    offline: Annotated[
        bool, typer.Option("--offline", help="Use no network: mirror and installed files only.")
    ] = False,
    mirror: Annotated[
        Path | None,
        typer.Option(
            "--mirror", metavar="DIR", envvar=MIRROR_VARIABLE, help="Folder tried first: DIR/SHA256 or DIR/MODEL/PATH."
        ),
    ] = None,
    refetch: Annotated[bool, typer.Option("--refetch", help="Fetch again what is here.")] = False,
    jobs: Annotated[int, typer.Option("--jobs", min=1, max=64, help="Downloads at the same time.")] = DEFAULT_JOBS,
    lock: LockOption = None,
    json: JsonOption = False,
) -> None:
    """Fetch models and check every byte; without names, those of the default profile.

    What an interrupted run fetched is continued. Nothing is placed before its digest was checked.
    """
    output = Output(json=json)
    if mirror is not None and not mirror.is_dir():
        raise UsageError(f"{mirror}: no such folder", hint="--mirror takes a folder of model files")
    models = _selected(read_lock(lock), names, profile, every=every)
    store = Store(store_path())
    options = PullOptions(offline=offline, mirror=mirror, refetch=refetch, jobs=jobs)
    try:
        with output.progress() as reporter:
            files = pull(models, store, options, _Bars(reporter))
    except KeyboardInterrupt:
        output.note("stopped; the next pull goes on from here")
        raise
    output.result(_pulled_document(store, files), lambda console: _render_pulled(console, store, models, files))


@app.command("verify", epilog="Example: voicectl models verify faster-whisper-tiny.en")
def verify_command(
    names: Names = None,
    *,
    profile: ProfileOption = None,
    every: AllOption = False,
    lock: LockOption = None,
    json: JsonOption = False,
) -> None:
    """Check size and sha256 of every file; without names, of all models that were pulled."""
    output = Output(json=json)
    pins, store = read_lock(lock), Store(store_path())
    if names or profile or every:
        models = _selected(pins, names, profile, every=every)
    else:
        models = [model for model in pins.models if store.model_path(model.name).is_dir()]
        if not models:
            raise ArtifactMissing(f"{store.root}: holds no model", hint="voicectl models pull")
    checks = store.check(models)
    problems = sorted((check.problem for check in checks if check.problem), key=lambda problem: problem.exit_code)
    for problem in problems[1:]:
        output.note(f"also: {problem.message}")
    if problems:
        raise problems[0]
    for model in models:
        store.refuse_unpinned(model)
    output.result(_verified_document(store, checks), lambda console: _render_verified(console, models, checks))


@app.command("list", epilog="Example: voicectl models list --json")
def list_command(lock: LockOption = None, json: JsonOption = False) -> None:
    """List the pinned models, with licence, size and whether they are here (sizes compared, not digests)."""
    store = Store(store_path())
    rows = [
        {
            "name": model.name,
            "role": model.role,
            "format": model.format,
            "revision": model.revision,
            "licence": model.licence,
            "source": model.source,
            "size_bytes": model.size_bytes,
            "state": store.state(model),
        }
        for model in read_lock(lock).models
    ]
    Output(json=json).result(
        {"store": str(store.root), "models": rows}, lambda console: _render_list(console, store, rows)
    )


@app.command("lock", epilog="Example: voicectl models lock --write --lock my-models.lock")
def lock_command(
    *,
    write: Annotated[bool, typer.Option("--write", help="Write the canonical text.")] = False,
    add: Annotated[Path | None, typer.Option("--add", metavar="PATH", help="Pin this local file or folder.")] = None,
    name: Annotated[str | None, typer.Option("--name", help="Name of the added model.")] = None,
    role: Annotated[ModelRole | None, typer.Option("--role", help="What the added model does.")] = None,
    model_format: Annotated[ModelFormat | None, typer.Option("--format", help="Format of the added model.")] = None,
    licence: Annotated[str | None, typer.Option("--licence", help="Licence of the added model.")] = None,
    revision: Annotated[str, typer.Option("--revision", help="Revision of the added model.")] = "local",
    lock: LockOption = None,
    json: JsonOption = False,
) -> None:
    """Check that the lock file is valid and canonical; add pins of local files with --add."""
    path = lock or default_lock_path()
    pins = read_lock(path)
    if add is not None:
        if not (name and role and model_format and licence):
            raise UsageError("--add needs --name, --role, --format and --licence")
        model = pin_local(add, name=name, role=role, model_format=model_format, licence=licence, revision=revision)
        pins = with_model(pins, model)
    text = render_lock(pins)
    is_canonical = path.read_bytes() == text.encode()
    if write or add is not None:
        parse_lock(text, name=str(path))
        _replace_text(path, text)
    elif not is_canonical:
        raise ConfigError(f"{path}: valid, but not the canonical text", hint="voicectl models lock --write")
    document = {"lock": str(path), "models": len(pins.models), "changed": not is_canonical}
    state = "canonical" if is_canonical else "written"
    Output(json=json).result(document, lambda console: console.print(f"{path}: {len(pins.models)} models, {state}"))


@app.command("gc", epilog="Example: voicectl models gc --dry-run")
def gc_command(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
    lock: LockOption = None,
    json: JsonOption = False,
) -> None:
    """Remove weights and downloads that the lock file does not name."""
    store, pins = Store(store_path()), read_lock(lock)
    with store.exclusive():
        garbage = find_garbage(store, pins)
        if not dry_run:
            remove_garbage(garbage)
    freed = sum(piece.size_bytes for piece in garbage)
    document = {
        "store": str(store.root),
        "dry_run": dry_run,
        "freed_bytes": freed,
        "removed": [{"path": str(piece.path), "size_bytes": piece.size_bytes} for piece in garbage],
    }

    def render(console: "Console") -> None:
        for piece in garbage:
            console.print(f"{_size(piece.size_bytes):>10}  {piece.path}", markup=False)
        console.print(f"{'would free' if dry_run else 'freed'} {_size(freed)}")

    Output(json=json).result(document, render)


class _Bars:
    """Shows a pull's progress as bars or lines. Called from several threads."""

    def __init__(self, reporter: ProgressReporter) -> None:
        self._reporter = reporter
        self._guard = threading.Lock()
        self._tasks: dict[str, Any] = {}
        self._done: dict[str, int] = {}

    def started(self, item: str, total_bytes: int | None) -> None:
        with self._guard:
            if total_bytes is None or total_bytes >= _SHOWN_BYTES:
                self._tasks[item] = self._reporter.add_task(item, total=total_bytes)

    def advanced(self, item: str, done_bytes: int) -> None:
        with self._guard:
            if item in self._tasks:
                self._done[item] = done_bytes
                self._reporter.update(self._tasks[item], completed=done_bytes)

    def finished(self, item: str) -> None:
        with self._guard:
            if item in self._tasks and (done := self._done.get(item)):
                # A wheel's length is known only now.
                self._reporter.update(self._tasks[item], total=done, completed=done)


def _selected(lock: Lock, names: Sequence[str] | None, profile: str | None, *, every: bool) -> list[LockedModel]:
    if sum((bool(names), profile is not None, every)) > 1:
        raise UsageError("give names, --profile or --all, not several of them")
    if every:
        return list(lock.models)
    if not names:
        from voicectl.core.config import load_profile

        chosen = load_profile(profile).models
        names = [chosen.stt, chosen.llm, chosen.tts, chosen.turn, chosen.vad]
    return [lock.model(name) for name in dict.fromkeys(names)]


def _replace_text(path: Path, text: str) -> None:
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fresh.write_text(text, encoding="utf-8")
    fresh.replace(path)


def _pulled_document(store: Store, files: Sequence[PulledFile]) -> dict[str, Any]:
    models: dict[str, list[dict[str, Any]]] = {}
    for file in files:
        entry = {"path": file.path, "size_bytes": file.size_bytes, "action": file.action}
        models.setdefault(file.model, []).append(entry)
    return {
        "store": str(store.root),
        "fetched_bytes": sum(file.size_bytes for file in files if file.action != "present"),
        "models": [
            {"name": name, "path": str(store.model_path(name)), "files": entries} for name, entries in models.items()
        ],
    }


def _render_pulled(
    console: "Console", store: Store, models: Sequence[LockedModel], files: Sequence[PulledFile]
) -> None:
    for model in models:
        actions = {file.action for file in files if file.model == model.name} - {"present"}
        console.print(f"{model.name:<32} {_size(model.size_bytes):>10}  {', '.join(sorted(actions)) or 'present'}")
    console.print(f"in {store.models}")


def _verified_document(store: Store, checks: Sequence[FileCheck]) -> dict[str, Any]:
    models: dict[str, list[dict[str, Any]]] = {}
    for check in checks:
        entry = {"path": check.file.path, "sha256": check.file.sha256, "size_bytes": check.file.size}
        models.setdefault(check.model, []).append(entry)
    return {"store": str(store.root), "models": [{"name": name, "files": files} for name, files in models.items()]}


def _render_verified(console: "Console", models: Sequence[LockedModel], checks: Sequence[FileCheck]) -> None:
    total = sum(check.file.size for check in checks)
    console.print(f"{len(models)} models, {len(checks)} files, {_size(total)}: all as pinned")


def _render_list(console: "Console", store: Store, rows: Sequence[dict[str, Any]]) -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for column in ("name", "role", "size", "state", "licence"):
        table.add_column(column, no_wrap=column != "licence", justify="right" if column == "size" else "left")
    for row in rows:
        table.add_row(row["name"], row["role"], _size(row["size_bytes"]), row["state"], row["licence"])
    console.print(table)
    console.print(f"in {store.models}")


def _size(num_bytes: int) -> str:
    size = float(num_bytes)
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"
