"""Priorities of real threads and processes."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from voicectl.engine import priority

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(sys.platform != "linux", reason="priorities of threads are Linux' own"),
]

SLEEPER = (
    "import sys, threading\n"
    "wait = threading.Event().wait\n"
    "threading.Thread(target=wait, daemon=True).start()\n"
    "print('up', flush=True)\n"
    "sys.stdin.read()\n"
)


@pytest.fixture
def sleeper() -> Iterator[int]:
    """A process of two threads; yields its id."""
    with subprocess.Popen(
        [sys.executable, "-c", SLEEPER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        yield process.pid
        process.kill()


def threads(pid: int) -> list[int]:
    return [int(thread.name) for thread in Path(f"/proc/{pid}/task").iterdir()]


def policies(pid: int) -> set[int]:
    found = set()
    for thread in threads(pid):
        # The kernel may still list a thread that has just ended.
        with contextlib.suppress(ProcessLookupError):
            found.add(os.sched_getscheduler(thread))
    return found


@pytest.mark.skipif(not priority.can_idle(), reason="this user may not raise a priority again (RLIMIT_NICE)")
def test_every_thread_of_a_process_goes_idle_and_comes_back(sleeper: int) -> None:
    assert len(threads(sleeper)) == 2
    priority.run_idle(sleeper)
    assert policies(sleeper) == {os.SCHED_IDLE}
    priority.run_normally(sleeper)
    assert policies(sleeper) == {os.SCHED_OTHER}


def test_a_process_that_has_ended_is_no_error() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
        priority.run_idle(process.pid)
        priority.run_normally(process.pid)


def test_a_thread_that_stands_back_goes_on_doing_so_when_the_process_does() -> None:
    code = (
        "import os, threading, time\n"
        "from voicectl.engine.priority import stand_back, stand_back_thread\n"
        "told, done = threading.Event(), threading.Event()\n"
        "ids = []\n"
        "def background():\n"
        "    stand_back_thread(10)\n"
        "    ids.append(threading.get_native_id())\n"
        "    told.set()\n"
        "    done.wait()\n"
        "thread = threading.Thread(target=background)\n"
        "thread.start()\n"
        "told.wait()\n"
        "before = os.getpriority(os.PRIO_PROCESS, 0)\n"
        "stand_back(5)\n"
        "print(os.getpriority(os.PRIO_PROCESS, 0) - before, os.getpriority(os.PRIO_PROCESS, ids[0]) - before)\n"
        "done.set()\n"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    usual, background = map(int, told.stdout.split())
    assert usual == 5
    # 19 is as far as anybody can stand back.
    assert background in (15, 19 - os.getpriority(os.PRIO_PROCESS, 0))


def test_asking_whether_a_process_may_be_called_back_leaves_the_caller_alone() -> None:
    before = policies(os.getpid())
    priority.can_idle()
    assert policies(os.getpid()) == before
