"""A process that evaluates the policy's alerts once: it may take a million rows, which no caller should wait for.

`python -m voicectl.service.governing.demoting` reads the profile on stdin and writes what it demoted to stdout.
"""

import asyncio
import json
import os
import sys
from collections.abc import Mapping
from typing import Any, Final

from voicectl.core.errors import ConfigError, VoicectlError
from voicectl.core.profile import Profile

NICENESS: Final = 19
_SHOWN: Final = 500


async def evaluate_apart(profile: Profile, *, timeout_s: float) -> Mapping[str, str]:
    """Evaluate the alerts in a process of its own, demote what is due, and return it. Raises ConfigError."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        # -P: what lies in the current folder must not pass for a module of ours.
        *("-P", "-m", "voicectl.service.governing.demoting"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(timeout_s):
            told, complaint = await process.communicate(profile.model_dump_json().encode())
    except TimeoutError as error:
        raise ConfigError(f"the alerts were not evaluated within {timeout_s:.0f} s") from error
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return _demoted(told, complaint, process.returncode)


def _demoted(told: bytes, complaint: bytes, status: int | None) -> Mapping[str, str]:
    try:
        document = json.loads(told)
        if "error" in document:
            raise ConfigError(str(document["error"]))
        return {str(use_case): str(reason) for use_case, reason in document["demoted"].items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        words = complaint.decode("utf-8", "replace").strip()[-_SHOWN:]
        raise ConfigError(f"the evaluation of alerts ended with status {status}: {words or 'no word'}") from error


def main() -> None:
    """Evaluate once."""
    from voicectl.core.log import configure
    from voicectl.service.governing.desk import demote_due, desk_of

    os.nice(NICENESS)
    configure(json=True, level="warning")
    try:
        profile = Profile.model_validate_json(sys.stdin.buffer.read())
        document: dict[str, Any] = {"demoted": demote_due(desk_of(profile))}
    except VoicectlError as error:
        document = {"error": error.message}
    sys.stdout.write(json.dumps(document))


if __name__ == "__main__":
    main()
