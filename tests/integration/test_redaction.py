"""A caller says a card number: no file, log line, trace or webhook of the service holds it."""

import asyncio
import logging
import re
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import structlog

from tests.fakes.collector import collecting
from tests.fakes.conversation import eventually
from tests.fakes.ear import CALLER_HZ, listener, silence, speech
from tests.fakes.engine_ports import FakeLanguageModel, FakeSynthesizer, FakeTranscriber, FakeTurnDetector
from tests.fakes.webhook_receiver import SECRET_TEXT, receiving
from voicectl.core import events as ev
from voicectl.core.clock import MonotonicClock
from voicectl.core.config import load_profile
from voicectl.core.lockfile import read_lock
from voicectl.core.log import configure
from voicectl.core.profile import Profile
from voicectl.governance.audit.checkpoint import read_checkpoint
from voicectl.governance.audit.keys import public_key
from voicectl.governance.audit.log import audit_folder
from voicectl.governance.audit.verify import entries, verify
from voicectl.service.answering import Surroundings, _services
from voicectl.service.calls.call import Call, CallEngine
from voicectl.service.checkpoints.open import checkpoint_keeper
from voicectl.service.governing.changes import audited, changes
from voicectl.service.governing.logs import log_redaction
from voicectl.service.governing.open import governing
from voicectl.service.operations.metrics import Metrics
from voicectl.service.recording.open import call_recorder
from voicectl.service.webhooks.open import webhook_dispatcher

pytestmark = pytest.mark.integration

CARD = "4556737586899855"
DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
TURNS = [
    "My card number is 4556 7375 8689 9855.",
    "again it is four five five six seven three seven five",
    "eight six eight nine nine eight five five",
    "and my email is ann at example dot com",
]
REPLY = "So that is 4556 7375 8689 9855. Right?"


def windows(length: int = 7) -> Iterator[re.Pattern[bytes]]:
    """Return a pattern for every piece of the card number that is longer than may be shown."""
    for start in range(len(CARD) - length + 1):
        digits = (rf"(?:{digit}|{DIGITS[int(digit)]})" for digit in CARD[start : start + length])
        yield re.compile(r"[\s,.\-]{0,3}".join(digits).encode(), re.IGNORECASE)


def assert_clean(content: bytes, where: str) -> None:
    for pattern in windows():
        found = pattern.search(content)
        assert found is None, f"{where}: {found}"
    assert b"ann at example" not in content, where


def assert_files_clean(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_file():
            assert_clean(path.read_bytes(), str(path))


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("VOICECTL_HOME", str(tmp_path / "home"))
    yield tmp_path / "home"
    # The log of the test wrote to a stream that is gone.
    structlog.reset_defaults()
    logging.getLogger().handlers = []


def governed_profile(folder: Path, webhook: str, collector: str) -> Profile:
    secret = folder / "hook.whsec"
    secret.write_text(SECRET_TEXT)
    secret.chmod(0o600)
    hook = {
        "name": "crm",
        "url": webhook,
        "secret_file": str(secret),
        "allow_private": True,
        "include_transcripts": True,
    }
    document = load_profile("cpu").model_dump(mode="json")
    document["webhooks"] = {"endpoints": [hook], "outbox": str(folder / "home" / "outbox.db"), "flush_s": 0.2}
    document["telemetry"] = {"otlp_endpoint": collector, "include_content": True, "export_timeout_s": 1.0}
    return Profile.model_validate(document)


async def hold_call(profile: Profile, services: Any) -> list[ev.CallEvent]:
    """Let a caller say the turns, one after the other, and leave."""
    told: list[ev.CallEvent] = []

    async def emit(event: ev.CallEvent) -> None:
        told.append(event)

    actions: asyncio.Queue[Any] = asyncio.Queue(100)
    engine = CallEngine(FakeTranscriber(TURNS), FakeTurnDetector(), FakeLanguageModel(REPLY), FakeSynthesizer())
    call = Call(
        "sess_card", profile, engine, listener(profile), MonotonicClock(), services=services, attributes={"note": CARD}
    )
    running = asyncio.create_task(call.run(actions, emit))
    await actions.put(ev.SessionConfigured(ev.SessionSettings(output_modality="text")))
    for number, text in enumerate(TURNS, start=1):
        if number == 1:
            for part in (speech(0.6), silence(4.0)):
                for frame in part:
                    await actions.put(ev.AudioReceived(frame, CALLER_HZ, MonotonicClock().now()))
                    await asyncio.sleep(0.001)
        else:
            await actions.put(ev.ItemCreateRequested(ev.Item(f"item_{number}", "user", text)))
            await actions.put(ev.ResponseRequested())
        await eventually(
            lambda number=number: sum(isinstance(event, ev.ResponseEnded) for event in told) >= number, within_s=60.0
        )
    await actions.put(ev.CallerLeft(f"the caller with {CARD} left"))
    await asyncio.wait_for(running, 5)
    return told


async def test_nothing_that_the_service_writes_holds_what_a_caller_said_of_a_card(
    home: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with collecting() as collector:
        async with receiving() as receiver, AsyncExitStack() as stack:
            profile = governed_profile(tmp_path, f"http://127.0.0.1:{receiver.port}/hook", collector.url)
            governed = governing(profile)
            assert governed.redactor is not None
            assert governed.audit is not None
            configure(json=True, level="debug", last=log_redaction(governed.redactor))
            await stack.enter_async_context(audited(governed.audit, profile))
            keeper = checkpoint_keeper(profile.checkpoints, governed.states)
            webhooks = webhook_dispatcher(profile.webhooks)
            unused: Any = None
            recorder = call_recorder(profile, redactor=governed.redactor)
            around = Surroundings(
                unused, unused, None, keeper, webhooks, recorder, unused, Metrics(profile), unused, unused, unused,
                governed,
            )  # fmt: skip
            services = await _services(profile, stack, around)
            told = await hold_call(profile, services)
            # The caller itself hears everything.
            assert any(isinstance(event, ev.TranscriptFinal) and CARD[:4] in event.text for event in told)
            assert keeper is not None
            await eventually(lambda: keeper.health().num_written > 0 and keeper.health().num_pending == 0)
            kept = await keeper.load("sess_card", None)
            assert_files_clean(home)
    assert_files_clean(home)
    assert kept is not None
    assert "[card number]" in repr(kept)
    assert (home / "records/records.db").stat().st_size > 0
    assert_files_clean(tmp_path)
    assert_clean(b"".join(attempt.body for attempt in receiver.attempts), "webhooks")
    assert b"[card number]" in b"".join(attempt.body for attempt in receiver.attempts)
    spans = b"".join(span.SerializeToString() for span in collector.spans)
    assert b"[card number]" in spans
    assert_clean(spans, "traces")
    assert_clean(capfd.readouterr().err.encode(), "log")


async def test_the_audit_log_tells_what_runs_once_and_what_was_taken_out(home: Path) -> None:
    profile = load_profile("cpu")
    for _ in range(2):
        governed = governing(profile)
        assert governed.audit is not None
        async with audited(governed.audit, profile):
            governed.audit.note("redaction_applied", {"call_id": "sess_1", "counts": {"card": 1}})
    folder = audit_folder()
    kinds = [entry.kind for entry in entries(folder)]
    assert kinds == [
        *("log_created", "configuration_changed", "model_changed", "redaction_applied", "redaction_applied"),
    ]
    checkpoint = read_checkpoint(folder / "checkpoint.json", public_key(folder / "audit.pub"))
    assert verify(folder, checkpoint).proven == 4


def test_another_prompt_is_a_change_that_names_the_one_before(home: Path) -> None:
    profile = load_profile("cpu")
    other = profile.model_copy(update={"llm": profile.llm.model_copy(update={"system_prompt": "Be brief."})})
    folder = audit_folder()
    governed = governing(profile)
    assert governed.audit is not None
    governed.audit.start()
    first = changes(folder, profile, read_lock())
    for kind, body in first:
        governed.audit.note(kind, body)
    governed.audit.close()
    assert changes(folder, profile, read_lock()) == []
    ((kind, body),) = changes(folder, other, read_lock())
    assert kind == "configuration_changed"
    assert body["previous"] == first[0][1]["digest"]
