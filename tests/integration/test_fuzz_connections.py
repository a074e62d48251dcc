"""Ten thousand connections that say nothing: a call in progress goes on, and nothing of them is left."""

import asyncio
import json
import resource
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from websockets.asyncio.client import ClientConnection, connect

from tests.fakes.conversation import eventually, running, scripted_profile

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

NUM_IDLE = 10_000
BATCH = 100
"""No more at once than a listening socket's backlog holds."""
NEEDED = NUM_IDLE + 500
"""Open files of either side."""
HALF_A_REQUEST = "GET /v1/realtime HTTP/1.1\\r\\nHost: x\\r\\nUpgr"
CROWD = """
import resource, socket, sys
port, count, batch, said = int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
resource.setrlimit(resource.RLIMIT_NOFILE, (count + 500, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
held = []
while len(held) < count and sys.stdin.readline():
    for _ in range(batch):
        held.append(socket.create_connection(("127.0.0.1", port), timeout=30))
        if len(held) % 2:
            held[-1].sendall(said.encode().decode("unicode_escape").encode())
    print(len(held), flush=True)
sys.stdin.readline()
"""
"""Opens connections for each line it reads, every other with half a request, and holds them until its input ends."""


@pytest.fixture
def many_files() -> Iterator[None]:
    """Allow as many open files as the test needs; skip where that is forbidden."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < NEEDED:
        pytest.skip(f"{NUM_IDLE} connections need {NEEDED} open files, and the limit here is {hard}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, NEEDED), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def num_open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def turn_s(call: ClientConnection) -> float:
    """Return how long a scripted reply takes from its request to its end."""
    asked_at = time.monotonic()
    await call.send('{"type": "response.create"}')
    async with asyncio.timeout(20):
        while json.loads(await call.recv())["type"] != "response.done":
            pass
    return time.monotonic() - asked_at


async def test_idle_connections_do_not_disturb_a_call(many_files: None) -> None:
    async with running(profile=scripted_profile(max_sessions=2)) as gateway:
        port = gateway.url.rsplit(":", 1)[1]
        async with connect(gateway.realtime_url, compression=None, ping_interval=None) as call:
            alone_s = await turn_s(call)
            files_before = num_open_files()
            crowd = await asyncio.create_subprocess_exec(
                *(sys.executable, "-c", CROWD, port, str(NUM_IDLE), str(BATCH), HALF_A_REQUEST),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
            )
            assert crowd.stdin is not None
            assert crowd.stdout is not None
            num_idle, most_held, slowest_s = 0, 0, 0.0
            while num_idle < NUM_IDLE:
                crowd.stdin.write(b"more\n")
                num_idle = int(await crowd.stdout.readline())
                slowest_s = max(slowest_s, await turn_s(call))
                most_held = max(most_held, num_open_files() - files_before)
            crowd.stdin.close()
            await crowd.wait()
            sys.stdout.write(
                f"{num_idle} connections, at most {most_held} files: a reply took {alone_s * 1000:.1f} ms alone,"
                f" {slowest_s * 1000:.1f} ms at worst among them\n"
            )
            await eventually(lambda: num_open_files() <= files_before, within_s=30)
            assert await turn_s(call) < 5
        assert slowest_s < 5
