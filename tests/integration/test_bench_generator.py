"""The load generator against a server whose delays are known, over real sockets, in real time."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from tests.fakes.null_server import FAULTS, NullServer, Script, null_server
from voicectl.bench.caller import GatewayUnreachable
from voicectl.bench.generator.progress import Progress
from voicectl.bench.generator.run import Limits, run_load
from voicectl.bench.generator.target import Target
from voicectl.bench.run_record import LoadPlan, RunRecord, TurnSample
from voicectl.bench.workload.ready import ReadyConversation, ReadyTurn, ReadyWorkload, Sound, with_digest

pytestmark = pytest.mark.integration

RATE = 24_000


def tone(length_s: float = 0.4) -> Sound:
    """Return a sound whose last voiced sample is its last."""
    num = round(length_s * RATE)
    samples = 0.3 * np.sin(2 * np.pi * 300 * (np.arange(num) + 9) / RATE)
    return Sound((samples * 32767).astype("<i2").tobytes(), 0.0, (num - 1) / RATE)


WORDS = ReadyTurn("words", "speech", 0, 0.4, pause_s=0.5, pause_spread_s=0.1, reference="some words")
OVER = replace(WORDS, name="over", kind="barge-in", after_s=0.5)
SILENCE = ReadyTurn("silence", "silence", None, 0.3, pause_s=0.3)
NOISE = replace(WORDS, name="noise", kind="noise", reference=None)


def workload(*turns: ReadyTurn) -> ReadyWorkload:
    one = ReadyConversation("one", 1.0, turns or (WORDS, WORDS))
    return with_digest(ReadyWorkload("null", "", (one,), (tone(),), opening_s=0.3, listen_s=0.6))


def plan(
    arrivals: str = "constant", calls: float = 1, duration_s: float = 1.0, answer_timeout_s: float = 8.0
) -> LoadPlan:
    closed = arrivals == "closed"
    return LoadPlan(
        workload="null",
        workload_digest="",
        seed=1,
        arrivals=arrivals,
        calls_per_minute=None if closed else calls / duration_s * 60,
        concurrency=int(calls) if closed else None,
        burstiness=None,
        duration_s=duration_s,
        answer_timeout_s=answer_timeout_s,
    )


def turns_of(record: RunRecord) -> list[TurnSample]:
    return [turn for call in record.calls for turn in call.turns]


def lag_s(record: RunRecord, share: float = 100) -> float:
    """Return how late this machine made the generator: at worst, or at a percentile of its frames."""
    return float(np.percentile(record.health.lag_s, share)) + 0.003


def assert_recovered(record: RunRecord, server: NullServer) -> None:
    """Every answer was measured as the server knows it, and so are the percentiles.

    The server notes when it really heard and answered, so that its own lateness is part of the truth. What is left is
    the caller's: of one turn as much as its worst frame was late, of percentiles 3 % and what was late as often.
    """
    measured = sorted((turn for turn in turns_of(record) if turn.v2v_s is not None), key=lambda turn: turn.intended_at)
    truth = sorted(server.turns, key=lambda turn: turn.voiced_at)
    assert len(measured) == len(truth)
    lag = lag_s(record)
    found = np.array([turn.v2v_s for turn in measured])
    true = np.array([turn.true_s for turn in truth])
    assert np.abs(found - true).max() < lag
    for share in (50, 95):
        wanted = float(np.percentile(true, share))
        assert np.percentile(found, share) == pytest.approx(wanted, abs=0.03 * wanted + lag_s(record, share))
    assert np.median(found - true) < lag_s(record, 50)
    # The intended instants are those at which the server heard the last sample, up to one constant.
    apart = np.diff([turn.voiced_at for turn in truth]) - np.diff([turn.intended_at for turn in measured])
    assert np.abs(apart).max() < 2 * lag


async def test_injected_delays_are_recovered_by_two_processes() -> None:
    progress: list[Progress] = []
    async with null_server(Script(delay=("lognormal", 0.3, 0.4), seed=4)) as server:
        record = await run_load(
            plan(calls=8, duration_s=2.0),
            workload(WORDS, WORDS, WORDS),
            Target(server.url),
            limits=Limits(workers=2),
            on_progress=progress.append,
        )
    assert [call.end for call in record.calls] == ["completed"] * 8
    assert [call.call for call in record.calls] == list(range(8))
    assert {turn.end for turn in turns_of(record)} == {"answered"}
    assert_recovered(record, server)
    first = turns_of(record)[0]
    assert (first.transcript, first.reference, first.reply) == ("some words", "some words", "A tone.")
    assert first.eou_to_first_audio_s is not None
    assert first.stages_s["tts"] is not None
    assert record.environment.server == {"model": "null"}
    assert (progress[-1].calls_completed, progress[-1].turns, progress[-1].answered) == (8, 24, 24)
    assert progress[-1].calls_live == 0


async def test_stall_of_the_server_counts_in_full_and_calls_begin_on_schedule_all_the_same() -> None:
    stall_at_s, stall_s = 1.5, 1.5
    async with null_server(Script(delay=("constant", 0.25), stalls=((stall_at_s, stall_s),))) as server:
        record = await run_load(plan(calls=20, duration_s=4.0), workload(WORDS), Target(server.url))
    assert {call.end for call in record.calls} == {"completed"}
    lag = lag_s(record)
    (stood_s,) = server.stalled_s
    assert stood_s >= stall_s
    assert max(call.started_at - call.scheduled_at for call in record.calls) < 2 * lag
    # Calls that came while the server stood still waited for it; their set-up counts from the schedule.
    assert max(call.connected_at - call.scheduled_at for call in record.calls) > 0.6 * stall_s
    assert 0.6 * stall_s < max(turn.v2v_s for turn in turns_of(record)) < stood_s + 0.25 + 2 * lag
    assert_recovered(record, server)


async def test_answers_that_never_come_are_censored_and_the_call_goes_on() -> None:
    async with null_server(Script(fault="deaf")) as server:
        record = await run_load(plan(answer_timeout_s=0.7), workload(), Target(server.url))
    (call,) = record.calls
    assert call.end == "completed"
    assert [turn.end for turn in call.turns] == ["timed-out", "timed-out"]
    assert [turn.censored_s for turn in call.turns] == pytest.approx([0.7, 0.7], abs=0.01)


async def test_barge_in_stops_when_the_server_says_and_goes_on_where_it_does_not() -> None:
    # Its second answer comes after its first is over, which must end by itself.
    stubborn = Script(("constant", 1.4), reply_s=1.6, barge_in_s=9.0)
    async with null_server(Script(reply_s=3.0, barge_in_s=0.2)) as server, null_server(stubborn) as other:
        turns = workload(WORDS, OVER)
        obeyed, ignored = await asyncio.gather(
            run_load(plan(), turns, Target(server.url)), run_load(plan(), turns, Target(other.url))
        )
    first, over = turns_of(obeyed)
    assert (first.end, over.end, over.kind) == ("answered", "answered", "barge-in")
    assert over.barge_in_stop_s == pytest.approx(server.stops_s[0], abs=0.02 + lag_s(obeyed))
    # A reply that takes no notice sounds to its own end, 1.6 s after it began.
    first, over = turns_of(ignored)
    onset_at = over.intended_at - 0.4
    assert onset_at - (first.intended_at + first.v2v_s) >= 0.5 - 0.001
    left_s = first.intended_at + first.v2v_s + 1.6 - onset_at
    assert over.barge_in_stop_s == pytest.approx(left_s, abs=0.02 + lag_s(ignored))


async def test_what_wants_no_answer_tells_whether_one_came() -> None:
    async with null_server(Script(delay=("constant", 0.2))) as server:
        record = await run_load(plan(), workload(SILENCE, NOISE, WORDS), Target(server.url))
    assert [turn.end for turn in turns_of(record)] == ["not-wanted", "answered-unasked", "answered"]


async def test_closed_loop_keeps_its_callers_calling_and_never_more_of_them() -> None:
    async with null_server(Script(delay=("constant", 0.2))) as server:
        record = await run_load(plan("closed", calls=2, duration_s=4.0), workload(WORDS), Target(server.url))
    assert len(record.calls) > 2
    assert {call.end for call in record.calls} == {"completed"}
    begun = [call.started_at for call in record.calls]
    at_once = [sum(call.started_at <= at < call.ended_at for call in record.calls) for at in begun]
    assert max(at_once) == 2


async def test_run_that_is_stopped_hangs_up_and_tells_what_it_saw() -> None:
    stopping = asyncio.Event()

    def stop_after_an_answer(progress: Progress) -> None:
        if progress.answered:
            stopping.set()

    turns = workload(*[WORDS] * 100)
    async with null_server() as server:
        record = await run_load(
            plan(calls=400, duration_s=100.0),
            turns,
            Target(server.url),
            on_progress=stop_after_an_answer,
            stopping=stopping,
        )
    assert record.wall_s < 60
    assert record.calls
    assert {call.end for call in record.calls} == {"unfinished"}
    assert all("the run was stopped" in (call.failure or "") for call in record.calls)
    assert any(turn.end == "answered" for turn in turns_of(record))


async def test_run_ends_at_its_bound_whatever_the_server_does() -> None:
    async with null_server(Script(fault="hang")) as server:
        record = await run_load(
            plan(answer_timeout_s=600.0), workload(), Target(server.url), limits=Limits(drain_s=1.0)
        )
    (call,) = record.calls
    assert call.end == "unfinished"
    assert "time was over" in (call.failure or "")
    (turn,) = call.turns
    assert turn.end == "call-lost"
    assert turn.censored_s is not None


async def test_more_calls_at_once_than_allowed_are_not_begun_and_are_told() -> None:
    async with null_server(Script(delay=("constant", 0.2))) as server:
        record = await run_load(
            plan(calls=4, duration_s=0.4), workload(WORDS), Target(server.url), limits=Limits(max_concurrent=1)
        )
    assert [call.end for call in record.calls] == ["completed", *["unfinished"] * 3]
    assert all((call.failure or "").startswith("limit:") for call in record.calls[1:])


async def test_key_opens_the_door_and_its_lack_is_told() -> None:
    async with null_server(Script(api_key="vc_secret", delay=("constant", 0.2))) as server:
        with_key, without = await asyncio.gather(
            run_load(plan(), workload(WORDS), Target(server.url, api_key="vc_secret")),
            run_load(plan(), workload(WORDS), Target(server.url)),
        )
    assert [call.end for call in with_key.calls] == ["completed"]
    assert [call.failure for call in without.calls] == ["http-refusal: HTTP 401, no key"]


async def test_url_that_is_none_is_refused_before_anything_starts() -> None:
    with pytest.raises(GatewayUnreachable, match="is no gateway's URL"):
        await run_load(plan(), workload(), Target("ftp://example.org"))


# --- bad servers ----------------------------------------------------------------------------

EXPECTED: dict[str, tuple[str, str | None, Sequence[str]]] = {
    "http-503": ("refused", "http-refusal: HTTP 503, full", ()),
    "reset-on-connect": ("refused", "reset: ", ()),
    "hang-on-connect": ("refused", "no-handshake: no answer", ()),
    "no-websocket": ("refused", "no-handshake: no WebSocket", ()),
    "no-session": ("refused", "no-session: no session.updated within", ()),
    "session-error": ("refused", "session-refused: no such session", ()),
    "reset": ("lost", "reset: the connection ended without a close frame", ["call-lost"]),
    "close": ("lost", "closed: the server ended the call (close code 1011, 'out of order')", ["call-lost"]),
    "beta": (
        "lost",
        "beta-protocol: the server speaks the Realtime protocol of before GA (response.audio.delta); call",
        ["call-lost"],
    ),
    "malformed": ("lost", "malformed-event: response.output_audio.delta for response 'never-began'", ["call-lost"]),
    "not-json": ("lost", "malformed-event: the server sent '{not json', which is no JSON", ["call-lost"]),
    "no-type": ("lost", "malformed-event: the server sent an event without a type", ["call-lost"]),
    "wrong-fields": ("lost", "malformed-event: response.created: no response object", ["call-lost"]),
    "binary": ("lost", "malformed-event: 2 bytes of binary", ["call-lost"]),
    "broken-frame": ("lost", "malformed-event: the server broke the WebSocket protocol", ["call-lost"]),
    "silent": ("completed", None, ["timed-out", "timed-out"]),
    "deaf": ("completed", None, ["timed-out", "timed-out"]),
    "hang": ("completed", None, ["timed-out", "timed-out"]),
    "cut-in": ("completed", None, ["cut-in", "cut-in"]),
    "nobody": ("refused", "no-connection: ", ()),
}
WAITING = {"hang-on-connect", "no-session"}
"""The faults that are seen by a wait alone."""


async def _runs() -> dict[str, RunRecord]:
    """Run one call against each kind of bad server, a few at a time."""
    turn = asyncio.Semaphore(4)

    async def run(fault: str, url: str) -> RunRecord:
        target = Target(url, model=fault, connect_timeout_s=1.5 if fault in WAITING else 30.0)
        async with turn:
            return await run_load(plan(answer_timeout_s=0.9), workload(), target)

    async with null_server(Script(delay=("constant", 0.2))) as server:
        urls = dict.fromkeys(FAULTS, server.url) | {"nobody": "ws://127.0.0.1:9"}
        records = await asyncio.gather(*(run(fault, url) for fault, url in urls.items()))
    return dict(zip(urls, records, strict=True))


@pytest.fixture(scope="module")
def bad_servers() -> dict[str, RunRecord]:
    return asyncio.run(_runs())


# Twenty runs, a few at a time: half a minute on two idle cores, and minutes where there is other work.
@pytest.mark.timeout(400)
@pytest.mark.parametrize("fault", sorted(EXPECTED))
def test_bad_server_ends_in_a_named_outcome(bad_servers: dict[str, RunRecord], fault: str) -> None:
    end, failure, turns = EXPECTED[fault]
    (call,) = bad_servers[fault].calls
    assert call.end == end
    assert (call.failure or "").startswith(failure or ""), call.failure
    assert (call.failure is None) == (failure is None)
    assert [turn.end for turn in call.turns] == list(turns)
    assert call.started_at is not None
    assert (call.connected_at is None) == (end == "refused")


def test_every_fault_has_an_expectation() -> None:
    assert set(FAULTS) | {"nobody"} == set(EXPECTED)
