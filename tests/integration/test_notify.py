"""The notification protocol over real datagram sockets."""

import asyncio
import os
import secrets
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from voicectl.service.operations.notify import EXTEND_EVERY_S, UNHEALTHY_STATUS, Notifier

pytestmark = pytest.mark.integration


class Manager:
    """A service manager's end of the protocol."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(address.replace("@", "\0", 1) if address.startswith("@") else address)
        self._socket.setblocking(False)

    def told(self) -> list[list[str]]:
        """Return the messages that have arrived, each as its lines."""
        messages = []
        while True:
            try:
                messages.append(self._socket.recv(4096).decode().split("\n"))
            except BlockingIOError:
                return messages

    async def next(self) -> list[str]:
        async with asyncio.timeout(10):
            return (await asyncio.get_running_loop().sock_recv(self._socket, 4096)).decode().split("\n")

    def close(self) -> None:
        self._socket.close()


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Manager]:
    manager = Manager(str(tmp_path / "n") if request.param == "path" else f"@voicectl-{secrets.token_hex(8)}")
    yield manager
    manager.close()


class Stopped(Exception):
    """The end of a scripted time."""


class Time:
    """A clock that passes only in `sleep`; `run` is stopped after so many of them."""

    def __init__(self, num_sleeps: int = 0) -> None:
        self.at = 100.0
        self.left = num_sleeps

    def now(self) -> float:
        return self.at

    async def sleep(self, seconds: float) -> None:
        if not self.left:
            raise Stopped
        self.left -= 1
        self.at += seconds


def notifier(manager: Manager, time: Time, watchdog_s: float | None = None) -> Notifier:
    environment = {"NOTIFY_SOCKET": manager.address}
    if watchdog_s is not None:
        environment |= {"WATCHDOG_USEC": str(round(watchdog_s * 1e6)), "WATCHDOG_PID": str(os.getpid())}
    return Notifier(environment, pid=os.getpid(), starting_s=12.0, draining_s=7.0, clock=time, sleep=time.sleep)


async def beat(notifier: Notifier, time: Time, num: int, *, healthy: bool = True) -> None:
    """Let `run` give `num` signs of life."""
    time.left = num - 1
    with pytest.raises(Stopped):
        await notifier.run(lambda: healthy)
    time.at += EXTEND_EVERY_S


def test_phases_are_told_with_a_status_of_one_line(manager: Manager) -> None:
    told = notifier(manager, Time())
    told.ready("4 places\nREADY=0")
    told.reloading()
    told.status("busy")
    told.stopping("2 calls left")
    told.close()
    assert manager.told() == [
        ["READY=1", "STATUS=4 places READY=0"],
        ["RELOADING=1", "MONOTONIC_USEC=100000000"],
        ["STATUS=busy"],
        ["STOPPING=1", "STATUS=2 calls left"],
    ]


async def test_more_time_is_asked_for_while_starting_and_draining_within_bounds(manager: Manager) -> None:
    time = Time()
    told = notifier(manager, time)
    extended = ["EXTEND_TIMEOUT_USEC=20000000"]
    await beat(told, time, 5)
    assert manager.told() == [extended] * 3, "at 0, 5 and 10 of 12 s"
    told.ready("up")
    await beat(told, time, 3)
    told.stopping("down")
    await beat(told, time, 4)
    assert manager.told() == [["READY=1", "STATUS=up"], ["STOPPING=1", "STATUS=down"], extended, extended]
    told.close()


async def test_the_watchdog_hears_of_a_healthy_gateway_only(manager: Manager) -> None:
    time = Time()
    told = notifier(manager, time, watchdog_s=4.0)
    told.ready("up")
    await beat(told, time, 3)
    assert manager.told() == [["READY=1", "STATUS=up"]] + [["WATCHDOG=1"]] * 3
    await beat(told, time, 3, healthy=False)
    assert manager.told() == [[f"STATUS={UNHEALTHY_STATUS}"]]
    await beat(told, time, 1)
    assert manager.told() == [["WATCHDOG=1", "STATUS=up"]]
    told.close()


async def test_signs_of_life_come_twice_in_the_watchdogs_time(manager: Manager) -> None:
    environment = {"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": "400000"}
    told = Notifier(environment, pid=os.getpid(), starting_s=0.0, draining_s=0.0)
    loop = asyncio.get_running_loop()
    run = asyncio.ensure_future(told.run(lambda: True))
    arrived = []
    for _ in range(4):
        assert await manager.next() == ["WATCHDOG=1"]
        arrived.append(loop.time())
    run.cancel()
    await asyncio.gather(run, return_exceptions=True)
    told.close()
    assert arrived[-1] - arrived[0] > 0.3, "three pauses of 0.2 s, the first may be short by scheduling"


async def test_a_process_of_its_own_reports_to_the_socket_of_its_environment(manager: Manager) -> None:
    program = (
        "import os; from voicectl.service.operations.notify import Notifier; "
        "n = Notifier(os.environ, pid=os.getpid(), starting_s=1, draining_s=1); n.ready('up'); n.close()"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, env={**os.environ, "NOTIFY_SOCKET": manager.address}
    )
    assert await manager.next() == ["READY=1", "STATUS=up"]
    assert await asyncio.wait_for(process.wait(), 30) == 0
