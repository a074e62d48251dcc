"""`voicectl keys`: make, list and revoke the API keys of the gateway."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from voicectl.cli.options import JsonOption, ProfileOption, SetOption, chosen_profile
from voicectl.cli.output import Output
from voicectl.core.errors import UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from voicectl.core.sections.access import Scope
    from voicectl.service.access.keys import ApiKey

_UNITS: Final = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1), "y": timedelta(days=365)}
_DURATION: Final = re.compile(r"([1-9][0-9]{0,4})([mhdy])")

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Make, list and revoke the gateway's API keys.")


@app.command("create", epilog="Example: voicectl keys create --name contact-centre --expires 90d --sessions 20")
def create_command(
    *,
    name: Annotated[str, typer.Option("--name", help="Who will use it.")],
    scope: Annotated[
        list[str] | None,
        typer.Option(
            "--scope",
            help="What it may do: realtime, transcribe, speak, chat, models, metrics or admin; repeatable. "
            "Without it, the first five.",
        ),
    ] = None,
    expires: Annotated[str | None, typer.Option("--expires", metavar="TIME", help="Such as 12h, 90d or 2y.")] = None,
    rpm: Annotated[int | None, typer.Option("--rpm", min=1, help="Requests a minute.")] = None,
    sessions: Annotated[int | None, typer.Option("--sessions", min=1, help="Live sessions at the same time.")] = None,
    profile: ProfileOption = None,
    settings: SetOption = None,
    json: JsonOption = False,
) -> None:
    """Make a key and print it. This is the only time it is shown: the gateway keeps a hash of it."""
    from voicectl.service.access.keyfile import change_keys
    from voicectl.service.access.keys import DEFAULT_SCOPES, new_key

    label = name.strip()
    if not 0 < len(label) <= 100 or not label.isprintable():
        raise UsageError(f"--name {name!r}: a name has 1 to 100 printable characters")
    now = datetime.now(UTC)
    key, presented = new_key(
        label,
        now=now,
        scopes=_scopes(scope) if scope else DEFAULT_SCOPES,
        expires_at=None if expires is None else now + _duration(expires),
        requests_per_minute=rpm,
        max_sessions=sessions,
    )
    path = _path(profile, settings)
    change_keys(path, lambda keys: (*keys, key))
    output = Output(json=json)
    output.note(f"key {key.id} added to {path}; it works within two seconds and is not shown again:")
    output.result({"key": presented, **_shown(key, now)}, lambda console: console.print(presented, markup=False))


@app.command("list", epilog="Example: voicectl keys list")
def list_command(*, profile: ProfileOption = None, settings: SetOption = None, json: JsonOption = False) -> None:
    """List the keys, also those that open nothing any more."""
    from voicectl.service.access.keyfile import read_keys

    path = _path(profile, settings)
    keys = read_keys(path)
    now = datetime.now(UTC)
    output = Output(json=json)
    if not keys:
        output.note(f"{path}: no keys")
    output.result({"file": str(path), "keys": [_shown(key, now) for key in keys]}, lambda out: _print(out, keys, now))


@app.command("revoke", epilog="Example: voicectl keys revoke 4f1c22aa90be")
def revoke_command(
    key_id: Annotated[str, typer.Argument(metavar="ID", help="The key's id, as `voicectl keys list` shows it.")],
    *,
    profile: ProfileOption = None,
    settings: SetOption = None,
    json: JsonOption = False,
) -> None:
    """Make a key worthless, and end its calls. It stays in the list."""
    from voicectl.service.access.keyfile import change_keys

    path = _path(profile, settings)
    now = datetime.now(UTC)

    def revoked(keys: "tuple[ApiKey, ...]") -> "tuple[ApiKey, ...]":
        if key_id not in {key.id for key in keys}:
            raise UsageError(f"{path}: no key has the id {key_id!r}", hint="see `voicectl keys list`")
        return tuple(
            key.model_copy(update={"revoked_at": key.revoked_at or now}) if key.id == key_id else key for key in keys
        )

    key = next(key for key in change_keys(path, revoked) if key.id == key_id)
    output = Output(json=json)
    output.note(f"key {key.id} ({key.name}) is revoked; the gateway refuses it within two seconds")
    output.result(_shown(key, now), lambda _console: None)


def _path(profile: str | None, settings: list[str] | None) -> Path:
    from voicectl.service.access.keyfile import key_file

    return key_file(chosen_profile(profile, settings).access)


def _scopes(names: list[str]) -> "tuple[Scope, ...]":
    from voicectl.service.access.keys import ALL_SCOPES

    unknown = sorted(set(names) - set(ALL_SCOPES))
    if unknown:
        raise UsageError(f"--scope {unknown[0]}: no such scope", hint=f"scopes are {', '.join(ALL_SCOPES)}")
    return tuple(scope for scope in ALL_SCOPES if scope in names)


def _duration(text: str) -> timedelta:
    matched = _DURATION.fullmatch(text.strip().lower())
    if matched is None:
        raise UsageError(f"--expires {text!r} is no time", hint="give a number and m, h, d or y, for example 90d")
    return int(matched[1]) * _UNITS[matched[2]]


def _shown(key: "ApiKey", now: datetime) -> dict[str, Any]:
    return {**key.model_dump(mode="json", exclude={"sha256"}), "state": key.state(now)}


def _print(console: "Console", keys: "tuple[ApiKey, ...]", now: datetime) -> None:
    from rich.table import Table

    if not keys:
        return
    table = Table("id", "name", "state", "scopes", "expires", "rpm", "sessions")
    for key in keys:
        limits = (key.requests_per_minute, key.max_sessions)
        expires = "never" if key.expires_at is None else f"{key.expires_at:%Y-%m-%d %H:%M} UTC"
        table.add_row(
            *(key.id, key.name, key.state(now), " ".join(key.scopes), expires),
            *("-" if limit is None else str(limit) for limit in limits),
        )
    console.print(table)
