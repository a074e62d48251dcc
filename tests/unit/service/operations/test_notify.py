"""What the service manager is told, and when."""

import asyncio

import pytest

from voicectl.service.operations.notify import Notifier, socket_address, watchdog_interval_s


@pytest.mark.parametrize(
    ("environment", "interval_s"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "15000000"}, 15.0),
        ({"WATCHDOG_USEC": "15000000", "WATCHDOG_PID": "7"}, 15.0),
        ({"WATCHDOG_USEC": "15000000", "WATCHDOG_PID": "8"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({"WATCHDOG_USEC": "-5"}, None),
    ],
)
def test_the_watchdog_counts_only_for_the_process_it_is_meant_for(
    environment: dict[str, str], interval_s: float | None
) -> None:
    assert watchdog_interval_s(environment, pid=7) == interval_s


@pytest.mark.parametrize(
    ("value", "address"),
    [(None, None), ("", None), ("/run/n", "/run/n"), ("@n", "\0n"), ("vsock:2:1234", None), ("relative", None)],
)
def test_only_unix_sockets_are_notified(value: str | None, address: str | None) -> None:
    assert socket_address({} if value is None else {"NOTIFY_SOCKET": value}) == address


async def test_without_a_service_manager_nothing_happens() -> None:
    notifier = Notifier({"WATCHDOG_USEC": "1000"}, pid=1, starting_s=1.0, draining_s=1.0)
    notifier.ready("up")
    notifier.stopping("down")
    await asyncio.wait_for(notifier.run(lambda: True), 1)
    assert not notifier.enabled
    notifier.close()


def test_a_service_manager_that_is_gone_is_ignored() -> None:
    notifier = Notifier({"NOTIFY_SOCKET": "/nonexistent/notify"}, pid=1, starting_s=1.0, draining_s=1.0)
    notifier.ready("up")
    notifier.close()
