"""A running gateway feels what the gate does within seconds: it opens, it refuses with the reason, live calls go on."""

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from sqlalchemy import update
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from tests.fakes.checkpoint_store import conversation
from tests.fakes.conversation import RunningGateway, eventually, running
from tests.fakes.gate_case import GateCase, write_rows
from tests.fakes.rollout import GateFiles, Trail
from voicectl.core.config import load_profile
from voicectl.core.ports import Purpose
from voicectl.governance.policy.load import PACKAGED
from voicectl.governance.store.location import SqliteFile, location_of
from voicectl.governance.store.store import open_store
from voicectl.governance.store.tables import calls
from voicectl.service.governing.demoting import evaluate_apart
from voicectl.service.governing.rollout import LiveRollout
from voicectl.service.governing.traffic import Traffic

pytestmark = pytest.mark.integration


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> GateFiles:
    monkeypatch.setenv("VOICECTL_HOME", str(tmp_path / "home"))
    return GateFiles(tmp_path / "home")


@asynccontextmanager
async def enforcing(trail: Trail) -> AsyncIterator[RunningGateway]:
    live = LiveRollout(0.05, audit=trail)
    watching = asyncio.create_task(live.watch())
    try:
        async with running() as gateway:
            gateway.gateway.rollout = Traffic(live, audit=trail)
            yield gateway
    finally:
        watching.cancel()
        await asyncio.wait({watching})


async def refusal(gateway: RunningGateway, use_case: str | None) -> dict[str, str] | None:
    """Return the problem with which a call is refused, None when it is taken."""
    query = "" if use_case is None else f"&use_case={use_case}"
    try:
        async with connect(gateway.realtime_url + query):
            return None
    except InvalidStatus as refused:
        assert refused.response.status_code == 403
        problem: dict[str, str] = json.loads(refused.response.body or b"")["error"]
        return problem


async def until(gateway: RunningGateway, use_case: str, code: str | None) -> dict[str, str] | None:
    """Call until the answer is the one that is waited for; return it."""
    async with asyncio.timeout(10):
        while True:
            found = await refusal(gateway, use_case)
            if (found and found["code"]) == code:
                return found
            await asyncio.sleep(0.05)


async def test_a_fresh_appliance_takes_stock_clients_and_refuses_what_was_not_opened(files: GateFiles) -> None:
    trail = Trail()
    async with enforcing(trail) as gateway:
        assert await refusal(gateway, None) is None
        closed = await refusal(gateway, "account_changes")
        assert closed is not None
        assert (closed["code"], closed["param"]) == ("use_case_not_promoted", "use_case")
        assert "tier medium was not opened" in closed["message"]
        unknown = await refusal(gateway, "chitchat")
        assert unknown is not None and unknown["code"] == "use_case_unknown"
    assert [body["code"] for body in trail.of("traffic_refused")] == ["use_case_not_promoted", "use_case_unknown"]


async def test_a_promotion_opens_and_a_demotion_closes_while_a_live_call_goes_on(files: GateFiles) -> None:
    async with enforcing(Trail()) as gateway:
        files.promote("account_changes")
        await until(gateway, "account_changes", None)
        async with connect(f"{gateway.realtime_url}&use_case=account_changes") as live:
            assert json.loads(await live.recv())["type"] == "session.created"
            command = ("gate", "demote", "account_changes", "--reason", "wrong account told")
            demoting = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "voicectl", *command, stdout=asyncio.subprocess.PIPE
            )
            await demoting.communicate()
            assert demoting.returncode == 0
            closed = await until(gateway, "account_changes", "use_case_demoted")
            assert closed is not None and "wrong account told" in closed["message"]
            await live.send(json.dumps({"type": "response.create"}))
            async with asyncio.timeout(10):
                while json.loads(await live.recv())["type"] != "response.done":
                    pass
        await eventually(lambda: not gateway.app.admission)


async def test_a_call_of_a_demoted_use_case_comes_back_under_no_name(files: GateFiles) -> None:
    session = "sess_" + "a" * 24
    query = f"&voicectl_session={session}"
    async with enforcing(Trail()) as gateway:
        gateway.gateway.checkpoints[session] = conversation(session, owner=None, use_case="faq")
        async with connect(gateway.realtime_url + query) as live:
            assert gateway.call.purpose == Purpose("faq", "low")
            with pytest.raises(InvalidStatus):
                await connect(f"{gateway.realtime_url}{query}&use_case=order_status")
            assert json.loads(await live.recv())["type"] == "session.created"
            await live.send(json.dumps({"type": "response.create"}))
            async with asyncio.timeout(10):
                while json.loads(await live.recv())["type"] != "response.done":
                    pass
        with pytest.raises(InvalidStatus) as refused:
            await connect(f"{gateway.realtime_url}{query}&use_case=order_status")
        assert refused.value.response.status_code == 400
        problem = json.loads(refused.value.response.body or b"")["error"]
        assert (problem["code"], problem["param"]) == ("session_use_case_differs", "use_case")
        files.demote("faq")
        await until(gateway, "faq", "use_case_demoted")
        for named in ("", "&use_case=faq"):
            with pytest.raises(InvalidStatus) as refused:
                await connect(gateway.realtime_url + query + named)
            assert refused.value.response.status_code == 403
            assert json.loads(refused.value.response.body or b"")["error"]["code"] == "use_case_demoted"
        with pytest.raises(InvalidStatus) as refused:
            await connect(f"{gateway.realtime_url}{query}&use_case=order_status")
        assert refused.value.response.status_code == 400


async def test_a_client_is_not_told_which_file_cannot_be_believed(files: GateFiles) -> None:
    trail = Trail()
    async with enforcing(trail) as gateway:
        files.state.parent.mkdir(parents=True)
        files.state.write_bytes(b"{}")
        closed = await until(gateway, "faq", "rollout_unproven")
        assert closed is not None and "rollout.json" not in closed["message"]
        files.state.unlink()
        await until(gateway, "faq", None)
    assert "rollout.json" in str(trail.of("enforcement_changed")[1]["problem"])


@pytest.mark.timeout(300)  # the process has the lowest priority: beside a compiler it waits for minutes
async def test_an_alert_that_demotes_takes_its_use_case_out_by_a_process_of_its_own(files: GateFiles) -> None:
    text = PACKAGED.read_text()
    alert = "- {metric: compliance_flag_rate, gt: 0.02, over: 24h, severity: page"
    assert alert in text
    files.policy.write_text(text.replace(alert, f"{alert}, demote: true"))
    profile = load_profile("cpu")
    place = location_of(profile.governance)
    assert isinstance(place, SqliteFile)
    case = GateCase(days=2, per_day=600)
    shift = time.time() - 3700 - max(row["ended_at"] for row in case.rows)
    for row in case.rows:
        for name in ("started_at", "answered_at", "ended_at", "scored_at"):
            row[name] += shift
    with open_store(place) as store, store.write() as connection:
        write_rows(connection, case)
        connection.execute(update(calls).where(calls.c.use_case == "faq").values(compliance_flagged=True))
    demoted = await evaluate_apart(profile, timeout_s=120)
    assert list(demoted) == ["faq"] and "compliance_flag_rate" in demoted["faq"]
    live = LiveRollout(1.0)
    assert live.enforcement.is_open("order_status")
    assert not live.enforcement.is_open("faq")
    assert await evaluate_apart(profile, timeout_s=120) == {}, "what is closed is not closed again"
