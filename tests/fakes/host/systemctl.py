"""A service manager for one folder: starts, stops and shows the units whose files lie in it. A program of its own."""

import contextlib
import fnmatch
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
UNITS = (ROOT / "etc/systemd/system", ROOT / "run/systemd/system")
STATES = ROOT / "run/units"
ENABLED = ROOT / "etc/systemd/system/multi-user.target.wants"
READY_S = 20.0


def unit_file(unit: str) -> tuple[Path, str]:
    name, at, instance = unit.removesuffix(".service").partition("@")
    path = next(folder / f"{name}{at}.service" for folder in UNITS if (folder / f"{name}{at}.service").exists())
    return path, instance


def pid_of(unit: str) -> int | None:
    path = STATES / unit / "pid"
    try:
        pid = int(path.read_text())
        if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
            return None
    except (OSError, ValueError):
        return None
    return pid


def stop(unit: str) -> None:
    pid = pid_of(unit)
    if pid is None:
        return
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
    ends_at = time.monotonic() + 5
    while pid_of(unit) is not None:
        if time.monotonic() > ends_at:
            os.kill(pid, signal.SIGKILL)
        time.sleep(0.01)


def start(unit: str) -> int:
    if pid_of(unit) is not None:
        return 0
    path, instance = unit_file(unit)
    line = next(row for row in path.read_text().splitlines() if row.startswith("ExecStart="))
    state = STATES / unit
    state.mkdir(parents=True, exist_ok=True)
    ready = state / "ready"
    ready.unlink(missing_ok=True)
    command = line.removeprefix("ExecStart=").replace("%i", instance).split()
    with (state / "log").open("ab") as log:
        service = subprocess.Popen(
            [*command, "--ready", str(ready)], stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
    (state / "pid").write_text(str(service.pid))
    ends_at = time.monotonic() + READY_S
    while not ready.exists():
        if service.poll() is not None or time.monotonic() > ends_at:
            return 1
        time.sleep(0.01)
    return 0


def show(unit: str) -> None:
    pid = pid_of(unit)
    ready = pid is not None and (STATES / unit / "ready").exists()
    failed = pid is None and (STATES / unit / "pid").exists()
    active = "active" if ready else "activating" if pid else "failed" if failed else "inactive"
    result = "exit-code" if failed else "success"
    sys.stdout.write(f"ActiveState={active}\nSubState=running\nResult={result}\nMainPID={pid or 0}\n")


def known(pattern: str) -> list[str]:
    if "*" not in pattern:
        return [pattern]
    names = [path.name for path in STATES.iterdir()] if STATES.is_dir() else []
    return fnmatch.filter(names, pattern)


def main(verb: str, *rest: str) -> int:
    units = [unit for unit in rest if not unit.startswith("-")]
    if verb == "enable":
        ENABLED.mkdir(parents=True, exist_ok=True)
        (ENABLED / units[0]).touch()
    elif verb == "disable":
        (ENABLED / units[0]).unlink(missing_ok=True)
    elif verb == "is-enabled":
        return 0 if (ENABLED / units[0]).exists() else 1
    elif verb == "show":
        show(units[0])
    elif verb in ("stop", "kill"):
        for unit in known(units[0]):
            stop(unit)
    elif verb == "start":
        return start(units[0])
    elif verb == "restart":
        stop(units[0])
        return start(units[0])
    elif verb not in ("daemon-reload", "reset-failed"):
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
