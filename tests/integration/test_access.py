"""Who gets in: keys, scopes, quotas and origins on a served gateway."""

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.fakes.conversation import RunningGateway, eventually, running, scripted_profile
from tests.fakes.key_files import KeyFile
from voicectl.core.errors import ConfigError
from voicectl.core.sections.access import Access
from voicectl.service.http.application import create_app

pytestmark = pytest.mark.integration

CHAT = {"model": "m", "messages": [{"role": "user", "content": "Hello?"}]}


@pytest.fixture
def keys(tmp_path: Path) -> KeyFile:
    return KeyFile(tmp_path)


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


async def dial(gateway: RunningGateway, key: str | None = None, **options: Any) -> ClientConnection:
    headers = bearer(key) if key else {}
    return await connect(gateway.realtime_url, additional_headers=headers, **options)


async def status_of(gateway: RunningGateway, key: str | None = None, **options: Any) -> tuple[int, dict[str, Any]]:
    """Return the status and the problem that an upgrade is refused with."""
    with pytest.raises(InvalidStatus) as refused:
        await dial(gateway, key, **options)
    response = refused.value.response
    problem: dict[str, Any] = json.loads(response.body or b"{}")["error"]
    return response.status_code, problem


async def test_every_way_to_present_a_key_opens_rest_and_realtime(keys: KeyFile) -> None:
    key = keys.add()
    profile = scripted_profile(access=keys.access())
    async with running(profile=profile) as gateway, httpx.AsyncClient(base_url=gateway.url) as http:
        for headers in (bearer(key), {"Authorization": f"bearer  {key}"}, {"api-key": key}):
            assert (await http.get("/v1/models", headers=headers)).status_code == 200
            async with connect(gateway.realtime_url, additional_headers=headers):
                pass
        subprotocols: Any = ["realtime", f"openai-insecure-api-key.{key}"]
        async with connect(gateway.realtime_url, subprotocols=subprotocols) as connection:
            assert connection.subprotocol == "realtime"
        assert {call.owner for call in gateway.gateway.conversations} == {keys.ids[key]}


async def test_keys_that_open_nothing_are_refused_with_a_reason(keys: KeyFile) -> None:
    good, revoked, expired = keys.add(), keys.add(), keys.add(expired=True)
    keys.revoke(revoked)
    stranger = f"vk_{'0' * 12}_{'x' * 43}"
    cases = {
        None: "missing_api_key",
        "": "missing_api_key",
        "sk-unused": "invalid_api_key",
        stranger: "invalid_api_key",
        good[:-1] + ("A" if good[-1] != "A" else "B"): "invalid_api_key",
        # Without the secret nobody learns that a key was revoked or has expired.
        f"vk_{keys.ids[revoked]}_{'x' * 43}": "invalid_api_key",
        f"vk_{keys.ids[expired]}_{'x' * 43}": "invalid_api_key",
        revoked: "revoked_api_key",
        expired: "expired_api_key",
    }
    profile = scripted_profile(access=keys.access())
    async with running(profile=profile) as gateway, httpx.AsyncClient(base_url=gateway.url) as http:
        for key, code in cases.items():
            headers = {} if key is None else {"api-key": key}
            answer = await http.post("/v1/chat/completions", json=CHAT, headers=headers)
            assert (answer.status_code, answer.json()["error"]["code"]) == (401, code)
            assert answer.headers["WWW-Authenticate"] == "Bearer"
            status, problem = await status_of(gateway, key)
            assert (status, problem["code"], problem["type"]) == (401, code, "authentication_error")
        in_the_url = await http.get(f"/v1/models?api_key={good}&access_token={good}")
        assert in_the_url.status_code == 401
        basic = await http.get("/v1/models", headers={"Authorization": "Basic dTpw"})
        assert basic.status_code == 401
        assert (await http.get("/healthz")).status_code == 200
        assert not gateway.gateway.conversations


async def test_a_key_does_only_what_its_scopes_say(keys: KeyFile) -> None:
    chat, admin = keys.add(scopes=("chat",)), keys.add(scopes=("admin",))
    profile = scripted_profile(access=keys.access())
    async with running(profile=profile) as gateway, httpx.AsyncClient(base_url=gateway.url) as http:
        assert (await http.post("/v1/chat/completions", json=CHAT, headers=bearer(chat))).status_code == 200
        for path in ("/v1/models", "/v1/models/s"):
            refused = await http.get(path, headers=bearer(chat))
            assert (refused.status_code, refused.json()["error"]["code"]) == (403, "insufficient_scope")
        assert (await status_of(gateway, chat))[0] == 403
        async with await dial(gateway, admin):
            assert (await http.get("/v1/models", headers=bearer(admin))).status_code == 200


async def test_too_many_requests_a_minute_get_429_with_the_time_to_wait(keys: KeyFile) -> None:
    slow, other = keys.add(requests_per_minute=3), keys.add()
    profile = scripted_profile(access=keys.access())
    async with running(profile=profile) as gateway, httpx.AsyncClient(base_url=gateway.url) as http:
        statuses = [(await http.get("/v1/models", headers=bearer(slow))).status_code for _ in range(3)]
        assert statuses == [200, 200, 200]
        refused = await http.get("/v1/models", headers=bearer(slow))
        assert (refused.status_code, refused.json()["error"]["code"]) == (429, "rate_limit_exceeded")
        assert 1 <= int(refused.headers["Retry-After"]) <= 20
        assert (await status_of(gateway, slow))[0] == 429
        assert (await http.get("/v1/models", headers=bearer(other))).status_code == 200


async def test_sessions_beyond_a_keys_quota_get_429_and_places_come_back(keys: KeyFile) -> None:
    key, other = keys.add(max_sessions=1), keys.add()
    profile = scripted_profile(access=keys.access())
    async with running(profile=profile) as gateway:
        async with await dial(gateway, key):
            status, problem = await status_of(gateway, key)
            assert (status, problem["code"]) == (429, "session_quota_exceeded")
            async with await dial(gateway, other):
                pass
        await eventually(lambda: gateway.gateway.conversations[0].finished)
        async with await dial(gateway, key):
            pass


async def test_keys_are_followed_without_a_restart_and_a_broken_file_changes_nothing(keys: KeyFile) -> None:
    first = keys.add()
    profile = scripted_profile(access=keys.access())
    async with running(profile=profile) as gateway, httpx.AsyncClient(base_url=gateway.url) as http:

        async def opens(key: str) -> bool:
            return (await http.get("/v1/models", headers=bearer(key))).status_code == 200

        async def comes_true(key: str, wanted: bool) -> bool:
            async with asyncio.timeout(2):
                while await opens(key) is not wanted:
                    await asyncio.sleep(0.02)
            return True

        second = keys.add()
        assert await comes_true(second, True)
        for broken in ("{", '{"version": 2, "keys": []}', ""):
            text = keys.path.read_text()
            keys.path.write_text(broken)
            await asyncio.sleep(0.15)
            assert await opens(first)
            keys.path.write_text(text)
        keys.path.unlink()
        await asyncio.sleep(0.15)
        # A lost file must not open a gateway on loopback to everybody.
        assert (await http.get("/v1/models")).status_code == 401
        assert await opens(first)


async def test_calls_of_a_revoked_key_end_and_others_go_on(keys: KeyFile) -> None:
    bad, good = keys.add(), keys.add()
    profile = scripted_profile(access=keys.access())
    async with (
        running(profile=profile) as gateway,
        await dial(gateway, bad) as revoked,
        await dial(gateway, good) as on,
    ):
        await revoked.recv()
        await on.recv()
        keys.revoke(bad)
        assert json.loads(await asyncio.wait_for(revoked.recv(), 2))["error"]["code"] == "invalid_api_key"
        with pytest.raises(ConnectionClosed) as closed:
            await asyncio.wait_for(revoked.recv(), 2)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1008
        await on.send('{"type": "input_audio_buffer.clear"}')
        assert json.loads(await on.recv())["type"] == "input_audio_buffer.cleared"


async def test_without_keys_anybody_may_come_on_loopback_whatever_they_present(tmp_path: Path) -> None:
    profile = scripted_profile(access=KeyFile(tmp_path).access())
    async with running(profile=profile) as gateway, httpx.AsyncClient(base_url=gateway.url) as http:
        for headers in ({}, bearer("unused"), {"api-key": "x"}):
            assert (await http.get("/v1/models", headers=headers)).status_code == 200


@pytest.mark.parametrize("access", [{}, {"anonymous": False}, {"anonymous": None, "check_keys": False}])
def test_a_gateway_that_anybody_on_the_network_could_use_does_not_start(tmp_path: Path, access: Any) -> None:
    profile = scripted_profile(access=KeyFile(tmp_path).access(**access), host="0.0.0.0")
    gateway: Any = None
    with pytest.raises(ConfigError) as refused:
        create_app(gateway, profile)
    assert refused.value.exit_code == 3
    assert refused.value.hint is not None


async def test_operators_paths_need_a_scope_away_from_loopback(keys: KeyFile) -> None:
    plain, operator = keys.add(), keys.add(scopes=("metrics",))
    profile = scripted_profile(access=keys.access(), host="0.0.0.0")
    async with running(profile=profile) as gateway, httpx.AsyncClient(base_url=gateway.url) as http:
        assert (await http.get("/healthz")).status_code == 200
        assert (await http.get("/readyz")).status_code == 401
        assert (await http.get("/readyz", headers=bearer(plain))).status_code == 403
        assert (await http.get("/readyz", headers=bearer(operator))).status_code == 200
    profile = scripted_profile(access=keys.access(open_metrics=True), host="0.0.0.0")
    async with running(profile=profile) as gateway, httpx.AsyncClient(base_url=gateway.url) as http:
        assert (await http.get("/readyz")).status_code == 200


async def test_pages_of_foreign_origins_are_refused_on_rest_and_realtime() -> None:
    page = "https://desk.example.com"
    access = Access(anonymous=True, check_keys=False, origins=(page,))
    async with (
        running(profile=scripted_profile(access=access, host="0.0.0.0")) as gateway,
        httpx.AsyncClient(base_url=gateway.url) as http,
    ):
        for origin in ("https://evil.example", "null", "http://localhost:3000", "http://desk.example.com", "x"):
            answer = await http.get("/v1/models", headers={"Origin": origin})
            assert (answer.status_code, answer.json()["error"]["code"]) == (403, "origin_not_allowed")
            assert "access-control-allow-origin" not in answer.headers
            with pytest.raises(InvalidStatus) as refused:
                await connect(gateway.realtime_url, origin=origin)  # type: ignore[arg-type]
            assert refused.value.response.status_code == 403
        for origin in (page, gateway.url):
            assert (await http.get("/v1/models", headers={"Origin": origin})).status_code == 200
            async with connect(gateway.realtime_url, origin=origin):  # type: ignore[arg-type]
                pass
        answer = await http.get("/v1/models", headers={"Origin": page})
        assert answer.headers["access-control-allow-origin"] == page
        asked = {"Origin": page, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "api-key"}
        preflight = await http.options("/v1/chat/completions", headers=asked)
        assert (preflight.status_code, preflight.headers["access-control-allow-origin"]) == (200, page)
        preflight = await http.options("/v1/chat/completions", headers={**asked, "Origin": "https://evil.example"})
        assert preflight.status_code == 400
        assert "access-control-allow-origin" not in preflight.headers


async def test_a_name_that_was_made_to_point_here_is_no_origin_of_ours() -> None:
    async with running() as gateway, httpx.AsyncClient(base_url=gateway.url) as http:
        rebound = {"Origin": "http://evil.example:80", "Host": "evil.example:80"}
        assert (await http.get("/v1/models", headers=rebound)).status_code == 403


async def test_a_browser_sees_why_it_gets_no_session() -> None:
    async with running(profile=scripted_profile(max_sessions=1)) as gateway, await dial(gateway):
        origin: Any = "http://localhost:3000"
        async with connect(gateway.realtime_url, origin=origin) as refused:
            event = json.loads(await refused.recv())
            assert (event["type"], event["error"]["code"]) == ("error", "unavailable")
            with pytest.raises(ConnectionClosed) as closed:
                await refused.recv()
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1013
        assert len(gateway.gateway.conversations) == 1


async def test_session_n_plus_one_is_refused_at_once() -> None:
    async with running(profile=scripted_profile(max_sessions=2)) as gateway, await dial(gateway), await dial(gateway):
        took_ms = []
        for _ in range(20):
            began = time.perf_counter()
            status, problem = await status_of(gateway)
            took_ms.append((time.perf_counter() - began) * 1000)
            assert (status, problem["code"], problem["type"]) == (503, "unavailable", "server_error")
        took_ms.sort()
        print(f"refusal of session n+1: P50 {took_ms[10]:.1f} ms, worst {took_ms[-1]:.1f} ms")  # noqa: T201
        # Far above the aim of 10 ms: this only catches a refusal that waits for something.
        assert took_ms[10] < 500


async def test_idle_connections_make_room_and_are_dropped() -> None:
    profile = scripted_profile(max_connections=20, handshake_s=0.5)
    async with running(profile=profile) as gateway, await dial(gateway) as call:
        await call.recv()
        port = httpx.URL(gateway.url).port
        idle = [await asyncio.open_connection("127.0.0.1", port) for _ in range(100)]
        async with httpx.AsyncClient(base_url=gateway.url) as http:
            assert (await http.get("/healthz")).status_code == 200
            await call.send('{"type": "input_audio_buffer.clear"}')
            assert json.loads(await call.recv())["type"] == "input_audio_buffer.cleared"
            # A head that never ends is as idle as none.
            slow = idle[-1]
            slow[1].write(b"GET / HTTP/1.1\r\nX: ")
            ended = await asyncio.wait_for(
                asyncio.gather(*(reader.read() for reader, _ in idle), return_exceptions=True), 5
            )
            assert len(ended) == 100
        for _, writer in idle:
            writer.close()
        await call.send('{"type": "input_audio_buffer.clear"}')
        assert json.loads(await call.recv())["type"] == "input_audio_buffer.cleared"
