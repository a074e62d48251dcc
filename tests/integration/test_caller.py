"""The caller against a gateway with known delays, over real sockets and in real time."""

import asyncio
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response

from tests.fakes.conversation import running
from tests.fakes.realtime_server import RATE, Script, fake_gateway
from voicectl.bench.call_record import WireError
from voicectl.bench.caller import GatewayUnreachable, connect
from voicectl.bench.generator.target import Target

pytestmark = pytest.mark.integration

TOLERANCE_MS = 3.0


def words(length_s: float = 0.4, rate: int = RATE) -> np.ndarray:
    ramp = np.arange(round(length_s * rate)) / rate
    return (0.3 * np.sin(2 * np.pi * 300 * ramp)).astype(np.float32)


async def test_injected_delay_is_recovered_from_the_waveforms() -> None:
    delays_s = (0.2, 0.35)
    async with fake_gateway(Script(delays_s=delays_s)) as gateway, connect(gateway.url) as caller:
        reports = [await caller.speak(words(), RATE) for _ in delays_s]
        late_ms = caller.worst_late_ms
    for delay_s, report in zip(delays_s, reports, strict=True):
        injected_ms = (delay_s + gateway.script.lead_in_s) * 1000
        assert report.v2v_ms == pytest.approx(injected_ms, abs=TOLERANCE_MS + late_ms)
        assert report.unexplained_ms == pytest.approx(0, abs=TOLERANCE_MS + late_ms)
        assert report.stages_ms["lead_in"] == pytest.approx(30, abs=1)
        assert (report.heard, report.reply) == ("some words", "A tone.")
        assert not report.cut_in
        assert not report.interrupted


async def test_mix_has_the_caller_left_and_the_answer_right_at_the_measured_distance() -> None:
    async with fake_gateway() as gateway, connect(gateway.url) as caller:
        report = await caller.speak(words(), RATE)
        mix = caller.mixdown()
    last_voiced = np.flatnonzero(np.abs(mix[:, 0]) > 0.01)[-1]
    first_audible = np.flatnonzero(np.abs(mix[:, 1]) > 0.01)[0]
    assert (first_audible - last_voiced) / RATE * 1000 == pytest.approx(report.v2v_ms, abs=1)


async def test_turn_without_an_answer_is_reported_after_a_bounded_wait() -> None:
    async with fake_gateway(Script(delays_s=())) as gateway, connect(gateway.url) as caller:
        report = await caller.speak(words(), RATE, answer_timeout_s=0.5)
    assert report.v2v_ms is None
    assert not report.answered


async def test_text_turn_is_answered_and_has_no_v2v() -> None:
    async with fake_gateway() as gateway, connect(gateway.url) as caller:
        report = await caller.write("What is this?")
    assert (report.heard, report.reply) == ("What is this?", "A tone.")
    assert report.v2v_ms is None
    assert [event["type"] for event in gateway.events][-2:] == ["conversation.item.create", "response.create"]


async def test_timings_and_model_are_asked_for_in_the_url() -> None:
    async with fake_gateway() as gateway, connect(gateway.url, model="cpu"):
        pass
    parts = urlsplit(gateway.paths[0])
    assert parts.path == "/v1/realtime"
    assert parse_qs(parts.query) == {"model": ["cpu"], "voicectl_timings": ["1"]}


async def test_a_probe_says_so_in_the_url() -> None:
    async with fake_gateway() as gateway, connect(gateway.url, probe=True):
        pass
    for address in (gateway.paths[0], Target(gateway.url).address):
        assert parse_qs(urlsplit(address).query)["voicectl_attribute.probe"] == ["1"]


async def test_server_that_tells_no_instants_leaves_stages_unknown() -> None:
    async with fake_gateway(Script(timings=False)) as gateway, connect(gateway.url) as caller:
        report = await caller.speak(words(), RATE)
    assert report.v2v_ms is not None
    assert report.stages_ms["endpointing"] is None
    assert report.unexplained_ms is None
    assert report.eou_to_first_audio_ms is not None


async def test_lost_call_is_an_error_that_names_the_close_code() -> None:
    with pytest.raises(GatewayUnreachable, match="1011"):
        async with fake_gateway(Script(hang_up_after_turns=1)) as gateway, connect(gateway.url) as caller:
            await caller.speak(words(), RATE)


@pytest.mark.parametrize("garbage", ["no json", "[]", '{"type": "response.done"}'])
async def test_garbage_from_the_server_is_a_wire_error(garbage: str) -> None:
    with pytest.raises(WireError):
        async with fake_gateway(Script(garbage=garbage)) as gateway, connect(gateway.url) as caller:
            await caller.speak(words(), RATE)


@pytest.mark.parametrize(("api_key", "header"), [("vc_secret", "Bearer vc_secret"), (None, None)])
async def test_key_is_shown_as_a_bearer_token(api_key: str | None, header: str | None) -> None:
    shown: list[str | None] = []

    def refuse(connection: ServerConnection, request: Request) -> Response:
        shown.append(request.headers.get("Authorization"))
        return connection.respond(401, "no\n")

    async with serve(lambda _: asyncio.sleep(0), "127.0.0.1", 0, process_request=refuse) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(GatewayUnreachable, match="401") as refused:
            async with connect(f"ws://127.0.0.1:{port}", api_key=api_key):
                pass
    assert refused.value.hint is not None
    assert "VOICECTL_API_KEY" in refused.value.hint
    assert shown == [header]


async def test_a_refused_use_case_is_told_with_its_reason_and_not_as_a_missing_key() -> None:
    async with running() as gateway:
        gateway.gateway.tiers["faq"] = None
        with pytest.raises(GatewayUnreachable, match="403: use_case_not_promoted: the use case faq") as refused:
            async with connect(gateway.realtime_url):
                pass
    assert refused.value.hint is not None
    assert "gate status" in refused.value.hint


async def test_no_gateway_is_unreachable() -> None:
    with pytest.raises(GatewayUnreachable, match="no call to"):
        async with connect("ws://127.0.0.1:9"):
            pass
