"""The server's start and end over real sockets and signals."""

import asyncio
import json
import os
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.fakes.conversation import ScriptedGateway, eventually, running, scripted_profile
from voicectl.core.errors import ConfigError
from voicectl.service.http.application import create_app
from voicectl.service.http.lifecycle import serve
from voicectl.service.http.listener import bind, listen, url_of

pytestmark = pytest.mark.integration


@asynccontextmanager
async def signalled(drain_s: float) -> AsyncIterator[tuple[ScriptedGateway, str, "asyncio.Task[None]"]]:
    """Serve as a process does: with signals."""
    gateway = ScriptedGateway()
    listener, listening = bind("127.0.0.1", 0), asyncio.Event()
    app = create_app(gateway, scripted_profile())
    server = asyncio.create_task(serve(app, listener, on_started=listening.set, drain_s=drain_s))
    try:
        await listening.wait()
        yield gateway, url_of("127.0.0.1", listener, secure=False), server
    finally:
        server.cancel()
        await asyncio.gather(server, return_exceptions=True)


def realtime(url: str) -> str:
    return url.replace("http", "ws", 1) + "/v1/realtime"


async def test_probes_tell_life_and_readiness_apart() -> None:
    async with running() as gateway, httpx.AsyncClient(base_url=gateway.url) as http:
        assert (await http.get("/healthz")).status_code == 200
        ready = await http.get("/readyz")
        assert ready.status_code == 200
        assert ready.json()["stages"] == {"stt": "ready", "llm": "ready"}
        gateway.gateway.is_ready = False
        not_ready = await http.get("/readyz")
        assert not_ready.status_code == 503
        assert not_ready.json()["stages"]["llm"] == "starting"
        assert (await http.get("/healthz")).status_code == 200
        with pytest.raises(InvalidStatus) as refused:
            await connect(gateway.realtime_url)
        assert refused.value.response.status_code == 503


async def test_sigterm_ends_live_calls_with_1001_after_the_drain() -> None:
    async with signalled(drain_s=0.3) as (gateway, url, server), connect(realtime(url)) as connection:
        json.loads(await connection.recv())
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(ConnectionClosed) as closed:
            await connection.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1001
        await asyncio.wait_for(server, 5)
        assert gateway.conversations[0].finished


async def test_a_draining_gateway_lets_a_call_finish_and_takes_no_other() -> None:
    async with signalled(drain_s=30) as (_, url, server):
        async with connect(realtime(url)) as connection:
            await connection.recv()
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.sleep(0.3)
            await connection.send('{"type": "input_audio_buffer.clear"}')
            assert json.loads(await connection.recv())["type"] == "input_audio_buffer.cleared"
            with pytest.raises(OSError):
                await connect(realtime(url))
        await asyncio.wait_for(server, 5)


async def test_a_second_interrupt_ends_calls_at_once() -> None:
    async with signalled(drain_s=60) as (gateway, url, server), connect(realtime(url)) as connection:
        await connection.recv()
        os.kill(os.getpid(), signal.SIGINT)
        await asyncio.sleep(0.2)
        assert not gateway.conversations[0].finished
        os.kill(os.getpid(), signal.SIGINT)
        await asyncio.wait_for(server, 5)
        assert gateway.conversations[0].finished


async def test_the_signal_handlers_of_before_are_back_afterwards() -> None:
    before = signal.getsignal(signal.SIGTERM)
    async with signalled(drain_s=0) as (_, _url, server):
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.wait_for(server, 5)
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_port_in_use_is_a_configuration_error_that_names_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        with pytest.raises(ConfigError, match=f"port {port} on 127.0.0.1 is in use") as refused:
            bind("127.0.0.1", port)
        assert refused.value.exit_code == 3
        assert refused.value.hint is not None
        assert f":{port}" in refused.value.hint


def test_a_port_that_another_process_took_while_the_models_loaded_is_told_as_well() -> None:
    late, early = bind("127.0.0.1", 0), socket.socket()
    with late, early:
        early.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        early.bind(late.getsockname())
        early.listen()
        with pytest.raises(ConfigError, match="is in use"):
            listen(late)


def test_an_address_of_no_interface_is_a_configuration_error() -> None:
    with pytest.raises(ConfigError, match=r"192\.0\.2\.1"):
        bind("192.0.2.1", 0)
    with pytest.raises(ConfigError, match=r"no\.such\.host\.invalid"):
        bind("no.such.host.invalid", 0)


async def test_the_chosen_port_is_reported_and_the_socket_is_closed_at_the_end() -> None:
    async with running() as gateway:
        port = httpx.URL(gateway.url).port
        assert port
        await eventually(lambda: True)
    bind("127.0.0.1", port).close()
