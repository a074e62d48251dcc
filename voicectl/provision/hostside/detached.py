"""Run a change in a unit of its own, so that it outlives who asked for it; whatever kills it, it is taken back."""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from .faults import TaskFailed
from .layout import Layout
from .running import ENVIRONMENT

_MANAGER: Final = Path("/run/systemd/system")
_BUS: Final = Path("/run/dbus/system_bus_socket")
_PYTHON: Final = "/usr/bin/python3"


def can_detach(root: Path) -> bool:
    """Return whether there is a service manager with a bus, and this program is a file that it can run."""
    return root == Path("/") and _MANAGER.is_dir() and _BUS.exists() and Path(sys.argv[0]).is_absolute()


def run_detached(arguments: Sequence[str]) -> dict[str, Any]:
    """Run this program again in a transient unit, wait for it, and return its document. Raises TaskFailed."""
    program = sys.argv[0]
    unit = [str(Layout().tool("systemd-run")), "--quiet", "--wait", "--pipe", "--collect"]
    unit += [f"--property=ExecStopPost={_PYTHON} -I {program} recover --quiet", "--property=TimeoutStopSec=900"]
    unit += [f"--description=voicectl: {arguments[0]}", _PYTHON, "-I", program, *arguments, "--here"]
    done = subprocess.run(unit, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, env=ENVIRONMENT, check=False)  # noqa: S603
    try:
        document = json.loads(done.stdout)
        code = document["exit_code"]
    except (ValueError, KeyError, TypeError) as error:
        raise TaskFailed(
            f"the change ended without a result (systemd-run: {done.returncode})",
            hint="`status` tells where the host stands",
        ) from error
    if document.get("recovered"):
        # The change was killed, and this is what its unit took back behind it.
        raise TaskFailed(
            "the change was killed; it was taken back", hint="run the command again", facts={"recovery": document}
        )
    return document if isinstance(code, int) else {**document, "exit_code": 1}
