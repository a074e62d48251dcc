"""Conversations in a real redis-server: shared by gateways, and missed for a while without harm."""

import asyncio
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.fakes.checkpoint_store import conversation
from tests.fakes.conversation import eventually
from voicectl.core.errors import ConfigError
from voicectl.core.sections.checkpoints import Checkpoints
from voicectl.service.checkpoints.keeper import CheckpointKeeper
from voicectl.service.checkpoints.open import checkpoint_keeper

pytestmark = pytest.mark.integration

BINARY = shutil.which("redis-server") or shutil.which("valkey-server")


class Server:
    """A redis-server of the test's own."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        if BINARY is None:
            pytest.skip("neither redis-server nor valkey-server is installed")
        self.socket = folder / "s"
        self._log = folder / "log"
        self._command = [BINARY, *arguments, "--unixsocket", self.socket, "--dir", folder, "--logfile", self._log]
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"unix://{self.socket}?db=1"

    def start(self) -> None:
        self.socket.unlink(missing_ok=True)
        self._child = subprocess.Popen(self._command)
        deadline = time.monotonic() + 10
        while not self.socket.exists():
            if time.monotonic() > deadline or self._child.poll() is not None:
                raise RuntimeError(self._log.read_text())
            time.sleep(0.01)

    def tell(self, *words: str) -> None:
        """Carry out a command on database 1, over a connection of its own."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(10)
            connection.connect(str(self.socket))
            for command in (("select", "1"), words):
                connection.sendall((" ".join(f'"{word}"' for word in command) + "\r\n").encode())
                answer = connection.recv(1000)
                if not answer.startswith((b"+", b":")):
                    raise RuntimeError(answer)

    def kill(self) -> None:
        if self._child is not None:
            self._child.kill()
            self._child.wait(10)
            self._child = None


@contextmanager
def serving(folder: Path, *arguments: str) -> Iterator[Server]:
    server = Server(folder, *(arguments or ("--port", "0", "--save", "", "--appendonly", "yes")))
    server.start()
    try:
        yield server
    finally:
        server.kill()


def keeper_at(url: str, **settings: Any) -> CheckpointKeeper:
    keeper = checkpoint_keeper(Checkpoints.model_validate({"url": url, "flush_s": 1, **settings}))
    assert keeper is not None
    return keeper


async def test_another_gateway_takes_a_conversation_up(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        async with keeper_at(server.url) as first, keeper_at(server.url) as second:
            first.save(conversation(turns=3))
            await eventually(lambda: first.health().num_written == 1)
            assert await second.load("sess_1", "key") == conversation(turns=3)
            assert await second.load("sess_1", "other") is None
            assert await second.load("sess_2", "key") is None


async def test_entries_end_with_their_grace(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        async with keeper_at(server.url, grace_s=0.2) as keeper, keeper_at(server.url) as other:
            keeper.save(conversation())
            await eventually(lambda: keeper.health().num_written == 1)
            assert await other.load("sess_1", "key") is not None
            deadline = time.monotonic() + 5
            while await other.load("sess_1", "key") is not None:
                assert time.monotonic() < deadline
            assert await keeper.load("sess_1", "key") is None


async def test_a_server_killed_in_mid_call_is_missed_once_and_gets_the_latest_states_when_it_is_back(
    tmp_path: Path,
) -> None:
    with serving(tmp_path) as server, capture_logs() as logs:
        async with keeper_at(server.url, timeout_s=0.5) as keeper:
            keeper.save(conversation(turns=1))
            await eventually(lambda: keeper.health().num_written == 1)
            server.kill()
            started = time.perf_counter()
            for turns in range(2, 50):
                keeper.save(conversation(turns=turns))
            assert time.perf_counter() - started < 0.1
            await eventually(lambda: keeper.health().num_failed_writes >= 2)
            assert keeper.health().state == "failing"
            assert await keeper.load("sess_1", "key") == conversation(turns=49)
            assert await keeper.load("sess_9", "key") is None
            server.start()
            await eventually(lambda: keeper.health().num_pending == 0, within_s=15)
            assert keeper.health().state == "ok"
        async with keeper_at(server.url) as other:
            assert await other.load("sess_1", "key") == conversation(turns=49)
    events = [entry["event"] for entry in logs]
    assert events == ["checkpoints_failing", "checkpoint_not_read", "checkpoints_recovered"]


async def test_a_server_that_hangs_holds_nothing_up(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        async with keeper_at(server.url, timeout_s=0.2) as keeper:
            keeper.save(conversation())
            await eventually(lambda: keeper.health().num_written == 1)
            server.tell("client", "pause", "1000", "all")
            keeper.save(conversation(turns=2))
            started = time.perf_counter()
            assert await keeper.load("sess_2", "key") is None
            assert time.perf_counter() - started < 1.0
            await eventually(lambda: keeper.health().state == "failing")
            await eventually(lambda: keeper.health().num_pending == 0, within_s=10)
            assert keeper.health().state == "ok"


async def test_a_server_that_is_not_there_at_the_start_is_used_once_it_is(tmp_path: Path) -> None:
    server = Server(tmp_path, "--port", "0", "--save", "")
    async with keeper_at(server.url) as keeper:
        await eventually(lambda: keeper.health().state == "failing")
        keeper.save(conversation())
        server.start()
        try:
            await eventually(lambda: keeper.health().num_written == 1, within_s=10)
        finally:
            await keeper.close()
            server.kill()


async def test_a_gateway_that_comes_late_does_not_overwrite_what_is_newer(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        async with keeper_at(server.url) as one, keeper_at(server.url) as other:
            newer = conversation(turns=2, saved_at=1e9 + 50)
            one.save(newer)
            await eventually(lambda: one.health().num_written == 1)
            other.save(conversation(turns=1, saved_at=1e9))
            await eventually(lambda: other.health().num_pending == 0)
            assert await other.load("sess_1", "key") == newer
            after_the_clock_was_set_back = conversation(turns=3, saved_at=1e9 - 5000)
            other.save(after_the_clock_was_set_back)
            await eventually(lambda: other.health().num_pending == 0)
            assert await one.load("sess_1", "key") == after_the_clock_was_set_back


async def test_clients_that_come_back_at_once_on_two_gateways_all_get_their_conversation(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        async with keeper_at(server.url) as one, keeper_at(server.url) as other:
            for number in range(100):
                one.save(conversation(f"sess_{number}"))
            await eventually(lambda: one.health().num_pending == 0)
            loads = [keeper.load(f"sess_{number}", "key") for number in range(100) for keeper in (one, other)]
            assert all(state is not None for state in await asyncio.gather(*loads))


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        assert isinstance(port, int)
        return port


async def test_a_password_comes_from_its_file_and_can_be_changed_there(tmp_path: Path) -> None:
    password, port = secrets.token_hex(8), free_port()
    password_file = tmp_path / "password"
    password_file.write_text("wrong\n")
    arguments = ("--bind", "127.0.0.1", "--port", str(port), "--save", "", "--requirepass", password)
    with serving(tmp_path, *arguments), capture_logs() as logs:
        keeper = keeper_at(f"redis://127.0.0.1:{port}/2", password_file=str(password_file))
        async with keeper:
            keeper.save(conversation())
            await eventually(lambda: keeper.health().num_failed_writes > 0)
            health = keeper.health()
            assert health.place == f"redis://127.0.0.1:{port}/2"
            assert "AuthenticationError" in (health.last_error or "")
            password_file.write_text(f"{password}\n")
            await eventually(lambda: keeper.health().num_written == 1, within_s=10)
            assert await keeper.load("sess_1", "key") == conversation()
        assert password not in str(logs)
        assert "wrong" not in str(health)


def certificate(folder: Path) -> tuple[Path, Path]:
    """Return a certificate for localhost and its key, made by openssl."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    crt, key = folder / "server.crt", folder / "server.key"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    command += ["-days", "1", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    subprocess.run([*command, "-keyout", key, "-out", crt], check=True, capture_output=True, timeout=30)
    return crt, key


async def test_tls_is_used_and_the_certificate_is_checked(tmp_path: Path) -> None:
    crt, key = certificate(tmp_path)
    port = free_port()
    tls = ("--tls-port", str(port), "--tls-cert-file", str(crt), "--tls-key-file", str(key))
    with serving(tmp_path, *tls, "--bind", "127.0.0.1", "--port", "0", "--save", "", "--tls-auth-clients", "no"):
        async with keeper_at(f"rediss://localhost:{port}/0", ca_file=str(crt)) as keeper:
            keeper.save(conversation())
            await eventually(lambda: keeper.health().num_written == 1)
        for url, authorities in ((f"rediss://localhost:{port}/0", None), (f"rediss://127.0.0.1:{port}/0", str(crt))):
            async with keeper_at(url, ca_file=authorities) as distrustful:
                await eventually(lambda: distrustful.health().state == "failing")
                assert "certificate" in (distrustful.health().last_error or "")


async def test_without_the_password_the_server_is_failing_and_calls_go_on(tmp_path: Path) -> None:
    arguments = ("--port", "0", "--save", "", "--requirepass", "geheim")
    with serving(tmp_path, *arguments) as server:
        async with keeper_at(server.url, flush_s=0) as keeper:
            keeper.save(conversation())
            await eventually(lambda: keeper.health().num_failed_writes > 0)
            assert await keeper.load("sess_1", "key") == conversation()


async def test_a_server_without_memory_is_failing_until_it_has_some(tmp_path: Path) -> None:
    with serving(tmp_path, "--port", "0", "--save", "", "--maxmemory", "1") as server:
        async with keeper_at(server.url, flush_s=0) as keeper:
            keeper.save(conversation())
            await eventually(lambda: "OutOfMemory" in (keeper.health().last_error or ""))
            server.tell("config", "set", "maxmemory", "0")
            await eventually(lambda: keeper.health().num_written == 1, within_s=10)


async def test_what_another_program_wrote_under_our_keys_is_no_conversation(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        server.tell("hset", "voicectl:checkpoint:sess_1", "encoded", "garbage")
        server.tell("set", "voicectl:checkpoint:sess_2", "a string")
        async with keeper_at(server.url) as keeper:
            assert await keeper.load("sess_1", "key") is None
            assert await keeper.load("sess_2", "key") is None
            assert (keeper.health().num_unreadable, keeper.health().num_failed_reads) == (1, 1)


async def test_connections_are_given_back(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        before = num_open_files()
        for _ in range(5):
            async with keeper_at(server.url) as keeper:
                keeper.save(replace(conversation(), saved_at=time.time()))
                await asyncio.gather(*(keeper.load(f"sess_{number}", "key") for number in range(30)))
        assert num_open_files() <= before + 1


def num_open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_a_password_file_that_is_not_there_is_a_configuration_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"checkpoints\.password_file: there is no file"):
        keeper_at("redis://127.0.0.1:1/0", password_file=str(tmp_path / "none"))
