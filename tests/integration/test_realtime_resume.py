"""Sessions that end, and sessions that go on over another connection."""

import asyncio
import json
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.fakes.conversation import RunningGateway, Script, eventually, running, scripted_profile
from voicectl.core import events as ev
from voicectl.core.checkpoint import ConversationState

pytestmark = pytest.mark.integration

SAVED = "sess_" + "a" * 24


def state(session_id: str = SAVED, owner: str | None = None) -> ConversationState:
    items = (ev.Item("item_1", "user", "My name is Ada."),)
    return ConversationState(session_id, owner, items, ev.SessionSettings(instructions="Be Ada's agent."), saved_at=0.0)


async def dial(gateway: RunningGateway, query: str = "") -> ClientConnection:
    return await connect(gateway.realtime_url + query)


async def closing_of(connection: ClientConnection) -> tuple[list[dict[str, Any]], int, str]:
    """Return the frames until the connection ends, and how it does."""
    frames = []
    async with asyncio.timeout(5):
        try:
            while True:
                frames.append(json.loads(await connection.recv()))
        except ConnectionClosed as closed:
            assert closed.rcvd is not None
            return frames, closed.rcvd.code, closed.rcvd.reason


async def test_a_session_goes_on_with_its_conversation() -> None:
    async with running() as gateway:
        gateway.gateway.checkpoints[SAVED] = state()
        async with await dial(gateway, f"&voicectl_session={SAVED}") as connection:
            created = json.loads(await connection.recv())
            assert created["session"]["id"] == SAVED
            assert created["session"]["instructions"] == "Be Ada's agent."
            await connection.send('{"type": "conversation.item.retrieve", "item_id": "item_1"}')
            while (frame := json.loads(await connection.recv()))["type"] != "conversation.item.retrieved":
                continue
            assert frame["item"]["content"][0]["text"] == "My name is Ada."
        assert gateway.call.state == state()


async def test_a_broken_off_call_comes_back_while_the_models_load_and_a_new_one_waits() -> None:
    async with running() as gateway:
        gateway.gateway.checkpoints[SAVED] = state()
        gateway.gateway.is_ready, gateway.gateway.is_loading = False, True
        with pytest.raises(InvalidStatus) as refused:
            await dial(gateway)
        assert refused.value.response.status_code == 503
        assert refused.value.response.headers["retry-after"]
        async with await dial(gateway, f"&voicectl_session={SAVED}") as connection:
            assert json.loads(await connection.recv())["session"]["id"] == SAVED


@pytest.mark.parametrize("session_id", ["sess_" + "b" * 24, "x", "", "sess_" + "A" * 24, "../../etc/passwd"])
async def test_an_unknown_session_is_404_before_the_upgrade(session_id: str) -> None:
    async with running() as gateway:
        gateway.gateway.checkpoints["sess_" + "b" * 24] = state(owner="somebody else")
        with pytest.raises(InvalidStatus) as refused:
            await dial(gateway, f"&voicectl_session={session_id}")
        assert refused.value.response.status_code == 404
        assert json.loads(refused.value.response.body or b"")["error"]["code"] == "session_not_found"
        assert not gateway.gateway.conversations


async def test_a_new_connection_takes_over_from_one_that_is_half_open() -> None:
    async with running(profile=scripted_profile(max_sessions=1)) as gateway:
        old = await dial(gateway)
        session_id = json.loads(await old.recv())["session"]["id"]
        gateway.gateway.checkpoints[session_id] = state(session_id)
        async with await dial(gateway, f"&voicectl_session={session_id}") as new:
            assert json.loads(await new.recv())["session"]["id"] == session_id
            _, code, _ = await closing_of(old)
            assert code == 4409
            first, second = gateway.gateway.conversations
            assert first.actions[-1] == ev.CallerLeft("the session goes on over another connection")
            assert first.finished
            assert second.state is not None
            await new.send('{"type": "input_audio_buffer.clear"}')
            assert json.loads(await new.recv())["type"] == "input_audio_buffer.cleared"


async def test_of_many_that_go_on_with_a_session_one_stays() -> None:
    async with running(profile=scripted_profile(max_sessions=2)) as gateway:
        gateway.gateway.checkpoints[SAVED] = state()
        connections = await asyncio.gather(*(dial(gateway, f"&voicectl_session={SAVED}") for _ in range(5)))
        await eventually(lambda: sum(not call.finished for call in gateway.gateway.conversations) == 1)
        endings = await asyncio.gather(
            *(asyncio.wait_for(connection.wait_closed(), 1) for connection in connections), return_exceptions=True
        )
        assert sum(isinstance(ending, TimeoutError) for ending in endings) == 1
        codes = [connection.close_code for connection in connections if connection.close_code is not None]
        assert codes == [4409] * 4
        for connection in connections:
            await connection.close()


async def test_a_session_that_is_live_for_somebody_else_stays_theirs() -> None:
    async with running() as gateway:
        gateway.gateway.checkpoints[SAVED] = state()
        async with await dial(gateway, f"&voicectl_session={SAVED}") as connection:
            await connection.recv()
            seats = gateway.app.realtime.seats
            seat = seats.holder(SAVED)
            assert seat is not None
            seat.owner = "another key"
            with pytest.raises(InvalidStatus) as refused:
                await dial(gateway, f"&voicectl_session={SAVED}")
            assert refused.value.response.status_code == 404
            await connection.send('{"type": "input_audio_buffer.clear"}')
            assert json.loads(await connection.recv())["type"] == "input_audio_buffer.cleared"


async def test_what_the_client_says_about_the_call_reaches_it() -> None:
    async with running() as gateway:
        query = "&voicectl_attribute.customer=42&voicectl_attribute.line=a%20b&other=1"
        async with await dial(gateway, query):
            assert gateway.call.attributes == {"customer": "42", "line": "a b"}
        too_many = "".join(f"&voicectl_attribute.a{n}=1" for n in range(17))
        for bad in (
            "&voicectl_attribute.=1",
            "&voicectl_attribute.a%0a=1",
            f"&voicectl_attribute.a={'x' * 513}",
            too_many,
        ):
            with pytest.raises(InvalidStatus) as refused:
                await dial(gateway, bad)
            assert refused.value.response.status_code == 400


@pytest.mark.parametrize("asked", [True, False])
async def test_events_of_the_appliance_come_only_when_asked_for(asked: bool) -> None:
    script = Script(extra=ev.ServiceDegraded(1, ("partials",), "load"))
    async with running(script) as gateway, await dial(gateway, "&voicectl_events=1" if asked else "") as connection:
        await connection.send('{"type": "input_audio_buffer.clear"}')
        frames = []
        while not frames or frames[-1]["type"] != "input_audio_buffer.cleared":
            frames.append(json.loads(await connection.recv()))
        assert ("voicectl.service_degraded" in [frame["type"] for frame in frames]) is asked


async def test_a_session_ends_at_its_longest_with_an_error_before_the_close() -> None:
    async with running(Script(flood=True, reply_s=0.03), profile=scripted_profile(max_session_s=0.5)) as gateway:
        for traffic in ("input_audio_buffer.clear", "response.create"):
            async with await dial(gateway) as connection:
                await connection.send(json.dumps({"type": traffic}))
                frames, code, reason = await closing_of(connection)
                assert (frames[-1]["type"], frames[-1]["error"]["code"]) == ("error", "session_expired")
                assert code == 1001
                assert "0.5 s" in reason
                await eventually(lambda: gateway.call.finished)


async def test_a_session_that_never_sends_anything_gives_its_place_back() -> None:
    profile = scripted_profile(first_event_s=0.2, max_sessions=1)
    async with running(profile=profile) as gateway:
        async with await dial(gateway) as silent:
            _, code, reason = await closing_of(silent)
            assert (code, reason) == (1008, "nothing received within 0.2 s")
        await eventually(lambda: gateway.call.finished)
        async with await dial(gateway) as connection:
            await connection.send('{"type": "input_audio_buffer.clear"}')
            await asyncio.sleep(0.4)
            await connection.send('{"type": "input_audio_buffer.clear"}')
            assert json.loads(await connection.recv())["type"] == "session.created"
            assert not gateway.call.finished
