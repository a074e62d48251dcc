"""A caller is handed to a person by a function over HTTP; the record and the audit log tell what came of it."""

import asyncio
import json
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.conversation import eventually
from tests.fakes.ear import listener
from tests.fakes.engine_ports import FakeLanguageModel, FakeSynthesizer, FakeTranscriber, FakeTurnDetector
from tests.fakes.other_system import answer, other_system
from voicectl.core import events as ev
from voicectl.core.clock import MonotonicClock
from voicectl.core.config import load_profile
from voicectl.core.profile import Profile
from voicectl.core.records import CallRow, warm
from voicectl.governance.audit.log import audit_folder
from voicectl.governance.audit.verify import entries
from voicectl.governance.store.location import location_of
from voicectl.governance.store.rows import call_of
from voicectl.governance.store.store import open_store
from voicectl.service.answering import Surroundings, _services
from voicectl.service.calls.call import Call, CallEngine
from voicectl.service.governing.open import governing
from voicectl.service.operations.metrics import Metrics
from voicectl.service.recording.open import call_recorder

pytestmark = pytest.mark.integration

CALL_ID = "sess_transferred"


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VOICECTL_HOME", str(tmp_path))


def profile_with_desk(url: str) -> Profile:
    summary = {"type": "object", "properties": {"summary": {"type": "string"}}}
    desk = {
        "name": "transfer_to_agent", "description": "Hand the caller over.", "system": "the desk", "url": url,
        "parameters": summary,
    }  # fmt: skip
    document = load_profile("cpu").model_dump(mode="json")
    document["integrations"] = {"tools": [desk]}
    document["governance"] |= {"transfer_tools": ["transfer_to_agent"]}
    return Profile.model_validate(document)


async def transferred(profile: Profile) -> tuple[CallRow | None, list[dict[str, Any]]]:
    """Hold a call in which the language model asks for a person; return its row and what the audit log tells."""
    governed = governing(profile)
    told: list[ev.CallEvent] = []

    async def emit(event: ev.CallEvent) -> None:
        told.append(event)

    async with AsyncExitStack() as stack:
        assert governed.audit is not None
        governed.audit.start()
        stack.callback(governed.audit.close)
        unused: Any = None
        around = Surroundings(
            unused, unused, None, None, None, call_recorder(profile, redactor=governed.redactor), unused,
            Metrics(profile), unused, unused, unused, governed,
        )  # fmt: skip
        services = await _services(profile, stack, around)
        wanted = ev.ToolCall("call_1", "transfer_to_agent", json.dumps({"summary": "wants a refund"}))
        engine = CallEngine(
            FakeTranscriber([]), FakeTurnDetector(), FakeLanguageModel("Goodbye.", calls=[wanted]), FakeSynthesizer()
        )
        call = Call(CALL_ID, profile, engine, listener(profile), MonotonicClock(), services=services)
        actions: asyncio.Queue[Any] = asyncio.Queue(100)
        running = asyncio.create_task(call.run(actions, emit))
        await actions.put(ev.SessionConfigured(ev.SessionSettings(output_modality="text")))
        await actions.put(ev.ItemCreateRequested(ev.Item("item_1", "user", "a person please")))
        await actions.put(ev.ResponseRequested())
        await eventually(lambda: any(isinstance(event, ev.ResponseEnded) for event in told))
        await actions.put(ev.CallerLeft("the caller was put through"))
        await asyncio.wait_for(running, 5)
    with open_store(location_of(profile.governance), timeout_s=5.0) as store, store.read() as connection:
        row = call_of(connection, CALL_ID)
    return row, [entry.body for entry in entries(audit_folder()) if entry.kind == "transfer_attempted"]


async def test_what_the_desk_answers_is_what_became_of_the_transfer() -> None:
    fate = {
        "transfer_result": "succeeded", "transfer_complete": True, "screen_pop_at": "2026-11-27T09:30:11Z",
        "human_answer_at": "2026-11-27T09:30:14Z", "dead_air_s": 2.5, "agent": "who took it is not kept",
    }  # fmt: skip
    async with other_system(desk=[answer(json.dumps(fate).encode())]) as desk:
        row, audit = await transferred(profile_with_desk(f"{desk.base}/desk"))
    assert row is not None
    assert (row.transfer_attempted, row.transfer_result, row.dead_air_s) == (True, "succeeded", 2.5)
    assert row.transfer_payload_digest is not None
    assert warm(row) is True
    assert [body["result"] for body in audit] == ["requested", "succeeded"]
    assert "who took it" not in repr((row, audit))


async def test_a_desk_that_does_not_answer_leaves_the_transfer_unproven() -> None:
    async with other_system(desk=[answer(b"{}", status="503 Service Unavailable")]) as desk:
        row, audit = await transferred(profile_with_desk(f"{desk.base}/desk"))
    assert row is not None
    assert (row.transfer_attempted, row.transfer_result, warm(row)) == (True, None, None)
    assert [body["result"] for body in audit] == ["requested"]
