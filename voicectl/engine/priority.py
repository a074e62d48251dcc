"""How much of the processor threads get where cores are short. Linux counts that by thread, others by process."""

import contextlib
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Final

MOST_NICENESS: Final = 19


def stand_back(niceness: int) -> None:
    """Lower the priority of every thread of this process by `niceness`; those they start inherit it."""
    if niceness == 0:
        return
    if sys.platform == "linux":
        # nice(2) would slow the calling thread and not the one that runs the model.
        for thread in _threads(os.getpid()):
            with contextlib.suppress(ProcessLookupError):
                _lower(thread, niceness)
    else:
        os.nice(niceness)


def stand_back_thread(niceness: int) -> None:
    """Lower the priority of the calling thread; elsewhere than on Linux a niceness is the whole process' and stays."""
    if sys.platform == "linux":
        _lower(threading.get_native_id(), niceness)


def can_idle() -> bool:
    """Tell whether a process may be sent to run on what others leave, and be called back.

    Calling back needs `RLIMIT_NICE` (`LimitNICE=` of a unit) or CAP_SYS_NICE, so a thread tries it.
    """
    if sys.platform != "linux":
        return False
    allowed = False

    def attempt() -> None:
        nonlocal allowed
        with contextlib.suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
            os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
            allowed = True

    thread = threading.Thread(target=attempt, name="priority-probe")
    thread.start()
    thread.join()
    return allowed


def run_idle(pid: int) -> None:
    """Let a process run only on what all others leave, until `run_normally`. Only where `can_idle`."""
    _schedule(pid, os.SCHED_IDLE)


def run_normally(pid: int) -> None:
    """Let a process take part again, at the niceness that it has set itself meanwhile."""
    _schedule(pid, os.SCHED_OTHER)


def _schedule(pid: int, policy: int) -> None:
    done: set[int] = set()
    # A thread that starts meanwhile has the policy of the one that started it.
    while new := [thread for thread in _threads(pid) if thread not in done]:
        for thread in new:
            done.add(thread)
            with contextlib.suppress(ProcessLookupError):
                os.sched_setscheduler(thread, policy, os.sched_param(0))


def _threads(pid: int) -> Iterator[int]:
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        yield from [int(thread.name) for thread in Path(f"/proc/{pid}/task").iterdir()]


def _lower(thread: int, niceness: int) -> None:
    os.setpriority(os.PRIO_PROCESS, thread, min(MOST_NICENESS, os.getpriority(os.PRIO_PROCESS, thread) + niceness))
