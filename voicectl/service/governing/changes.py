"""Tell the audit log what runs, when it is something else than the last time."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from voicectl.core.lockfile import Lock, read_lock
from voicectl.core.profile import Profile
from voicectl.governance.audit.segments import segments
from voicectl.governance.audit.trail import AuditThread
from voicectl.service.recording.digests import config_digest, model_digest, profile_digest
from voicectl.service.recording.scribe import digest


@asynccontextmanager
async def audited(audit: AuditThread, profile: Profile) -> AsyncIterator[None]:
    """Keep the audit log open, and begin with what runs now. Raises ConfigError for a lock file that cannot be read."""
    await asyncio.to_thread(audit.start)
    try:
        for kind, body in await asyncio.to_thread(changes, audit.folder, profile, read_lock()):
            audit.note(kind, body)
        yield
    finally:
        await asyncio.to_thread(audit.close)


def changes(folder: Path, profile: Profile, lock: Lock) -> list[tuple[str, dict[str, Any]]]:
    """Return the entries for a log in `folder` that has not heard of this profile, prompt or models yet.

    `digest` of each is what the rows of calls name. Settings that no caller hears are in the detail `profile_digest`.
    """
    configuration = {
        "profile": profile.name,
        "digest": config_digest(profile),
        "prompt_digest": digest(profile.llm.system_prompt),
        "details": {"profile_digest": profile_digest(profile)},
    }
    models = {"digest": model_digest(profile, lock), "models": dict(profile.model_names())}
    found: list[tuple[str, dict[str, Any]]] = []
    for kind, body in (("configuration_changed", configuration), ("model_changed", models)):
        last = last_body(folder, kind)
        if last is None or any(last.get(name) != value for name, value in body.items()):
            found.append((kind, body if last is None else body | {"previous": last.get("digest")}))
    return found


def last_body(folder: Path, kind: str) -> Mapping[str, Any] | None:
    """Return the body of the last entry of a kind, None if there is none; checks nothing."""
    mark = f'"kind":"{kind}"'.encode()
    for path in reversed(segments(folder)):
        for line in reversed(path.read_bytes().splitlines()):
            if mark in line:
                try:
                    body = msgspec.json.decode(line)["body"]
                except (msgspec.DecodeError, KeyError, TypeError):
                    continue
                return body if isinstance(body, dict) else None
    return None
