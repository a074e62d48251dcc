"""What `/metrics` tells, parsed as a monitoring system would."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

from tests.fakes.conversation import scripted_profile
from voicectl.core import events as ev
from voicectl.core.ports import CallIdentity
from voicectl.core.profile import Profile
from voicectl.core.sections.integrations import Integrations
from voicectl.engine.breaker import BreakerSnapshot
from voicectl.engine.health import EngineHealth, RouteHealth, StageHealth
from voicectl.engine.messages import MetricFamily, Sample
from voicectl.engine.stageload import StageLoad
from voicectl.engine.supervisor import WorkerState
from voicectl.governance.alerts.metrics import LATENCY_EDGES_S
from voicectl.service.operations.call_metrics import Labels, outcome_of
from voicectl.service.operations.metrics import Metrics

POLICY = Path(__file__).parents[5] / "shared" / "policy" / "gate-policy.yaml"
CALL = CallIdentity("sess_1", None, 10.0, False, {"phone": "+49301234"})
TIMES = ev.StageTimes(
    last_voiced_position_s=4.0,
    last_voiced_at=4.0,
    hesitated_at=4.1,
    transcribed_at=4.25,
    first_token_at=4.3,
    first_clause_at=4.35,
    first_audio_at=4.4,
    committed_at=4.3,
    first_sent_at=4.45,
)


def reply(**changes: Any) -> ev.ResponseEnded:
    usage = ev.TokenUsage(120, 100, 12)
    ended = ev.ResponseEnded("r", "i", "completed", "We open at nine.", "audio", usage=usage, times=TIMES)
    return replace(ended, **changes)


def profile_with_tool() -> Profile:
    tools = {"tools": [{"name": "order_status", "description": "Orders.", "url": "http://x.example/"}]}
    return scripted_profile().model_copy(update={"integrations": Integrations.model_validate(tools)})


def families(metrics: Metrics) -> dict[str, Metric]:
    page = metrics.render()[0].decode()
    names = [line.split()[2] for line in page.splitlines() if line.startswith("# TYPE")]
    assert len(names) == len(set(names)), "each family is described once"
    return {family.name: family for family in text_string_to_metric_families(page)}


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    for family in families(metrics).values():
        for sample in family.samples:
            if sample.name == name and dict(sample.labels) == labels:
                return float(sample.value)
    return None


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(profile_with_tool())


def test_sessions_are_counted_by_how_they_began_and_ended(metrics: Metrics) -> None:
    metrics.calls.call_started(CALL)
    metrics.calls.call_started(CALL)
    resumed = replace(CALL, session_id="sess_2", resumed=True)
    metrics.calls.call_started(resumed)
    assert value(metrics, "voicectl_sessions_live") == 2
    metrics.calls.call_ended(CALL, "the client closed the connection")
    metrics.calls.call_ended(CALL, "the client closed the connection")
    assert value(metrics, "voicectl_sessions_live") == 1
    assert value(metrics, "voicectl_sessions_started_total", kind="new") == 1
    assert value(metrics, "voicectl_sessions_started_total", kind="resumed") == 1
    assert value(metrics, "voicectl_sessions_ended_total", outcome="client_left") == 1
    assert value(metrics, "voicectl_sessions_ended_total", outcome="failed") == 0


def test_a_reply_leaves_its_latencies_and_tokens(metrics: Metrics) -> None:
    metrics.calls.call_event(CALL, reply(), 6.0)
    assert value(metrics, "voicectl_turns_total", status="completed") == 1
    assert value(metrics, "voicectl_eou_to_first_audio_seconds_sum") == pytest.approx(0.15)
    assert value(metrics, "voicectl_answer_latency_seconds_sum") == pytest.approx(0.45)
    assert value(metrics, "voicectl_answer_latency_seconds_bucket", le="0.4") == 0
    assert value(metrics, "voicectl_answer_latency_seconds_bucket", le="0.5") == 1
    for stage, seconds in {"endpointing": 0.3, "hesitation": 0.1, "stt": 0.15, "llm_first_token": 0.05}.items():
        assert value(metrics, "voicectl_stage_seconds_sum", stage=stage) == pytest.approx(seconds)
    assert value(metrics, "voicectl_tokens_total", kind="completion") == 12
    assert value(metrics, "voicectl_tokens_total", kind="cached") == 100


def test_what_did_not_happen_is_not_observed(metrics: Metrics) -> None:
    times = ev.StageTimes(committed_at=1.0, first_token_at=1.2)
    metrics.calls.call_event(CALL, reply(status="failed", times=times), 2.0)
    metrics.calls.call_event(CALL, reply(status="failed", times=None), 2.0)
    assert value(metrics, "voicectl_eou_to_first_audio_seconds_count") == 0
    assert value(metrics, "voicectl_stage_seconds_count", stage="stt") == 0
    assert value(metrics, "voicectl_stage_seconds_sum", stage="llm_first_token") == pytest.approx(0.2)


def test_an_interruption_is_a_reply_that_the_caller_spoke_over(metrics: Metrics) -> None:
    metrics.calls.call_event(CALL, reply(status="cancelled", reason="turn_detected"), 6.0)
    metrics.calls.call_event(CALL, reply(status="cancelled", reason="client_cancelled"), 7.0)
    assert value(metrics, "voicectl_interruptions_total") == 1
    assert value(metrics, "voicectl_turns_total", status="cancelled") == 2


def test_labels_stay_few_whatever_clients_and_models_write(metrics: Metrics) -> None:
    for number in range(300):
        item = ev.Item(f"i{number}", "assistant", "{}", kind="function_call", call_id="c", name=f"made_up_{number}")
        metrics.calls.call_event(CALL, ev.ToolCalled("r", item, None), 1.0)
        metrics.calls.call_event(CALL, ev.ActionRejected(f"code_{number}", "no"), 1.0)
        metrics.calls.call_event(CALL, ev.EscalationRequested(f"reason {number}", "help"), 1.0)
        metrics.exchange_ended(f"made_up_{number}", "ok", 0.1)
    known = ev.Item("i", "assistant", "{}", kind="function_call", call_id="c", name="order_status")
    metrics.calls.call_event(CALL, ev.ToolCalled("r", known, None, by_gateway=True), 1.0)
    assert value(metrics, "voicectl_tool_calls_total", tool="other", by="client") == 300
    assert value(metrics, "voicectl_tool_calls_total", tool="order_status", by="gateway") == 1
    assert value(metrics, "voicectl_exchanges_total", tool="other", outcome="ok") == 300
    assert len(families(metrics)["voicectl_errors"].samples) <= 25
    assert len(families(metrics)["voicectl_escalations"].samples) <= 25


def test_no_word_and_no_name_of_a_call_is_told(metrics: Metrics) -> None:
    metrics.calls.call_started(CALL)
    item = ev.Item("item_7", "user", "my secret", "audio")
    for event in (
        ev.ItemAdded(item, None),
        ev.TranscriptFinal("item_7", "my secret", 1.5),
        ev.TranscriptFailed("item_7", "my secret failed"),
        ev.ReplyText("resp_8", "item_9", "my secret"),
        ev.ActionRejected("invalid_value", "my secret"),
        ev.ServiceDegraded(2, ("partials",), "llm"),
        reply(text="my secret"),
    ):
        metrics.calls.call_event(CALL, event, 1.0)
    metrics.calls.call_ended(CALL, "my secret reason")
    page = metrics.render()[0].decode()
    for private in ("my secret", "sess_1", "resp_8", "item_7", "+49301234"):
        assert private not in page
    assert value(metrics, "voicectl_sessions_ended_total", outcome="other") == 1
    assert value(metrics, "voicectl_caller_speech_seconds_total") == 1.5


@pytest.mark.parametrize(
    ("reason", "outcome"),
    [
        ("the client closed the connection", "client_left"),
        ("the gateway is stopping", "stopping"),
        ("nothing received for 600 s", "idle"),
        ("the session goes on over another connection", "taken_over"),
        ("something new", "other"),
    ],
)
def test_ends_are_counted_by_their_cause(reason: str, outcome: str) -> None:
    assert outcome_of(reason) == outcome


def test_labels_learn_only_what_a_label_may_hold() -> None:
    labels = Labels({"a"}, max_learned=1)
    assert [labels.value(value) for value in ("", "ü", "b\n", "x" * 65, "b", "c", "b", "a")] == [
        *["other"] * 4, "b", "other", "b", "a",
    ]  # fmt: skip


@pytest.mark.skipif(not POLICY.is_file(), reason=f"no policy at {POLICY}")
def test_every_latency_alert_of_the_policy_is_an_edge() -> None:
    alerts = yaml.safe_load(POLICY.read_text())["alerts"]
    wanted = [alert[key] for alert in alerts if alert["metric"] == "v2v" for key in alert if key.endswith("_gt")]
    assert wanted
    assert {float(edge.removesuffix("s")) for edge in wanted} <= set(LATENCY_EDGES_S)


# --- engine ----------------------------------------------------------------------------------


def worker(name: str, *families: MetricFamily, **changes: Any) -> WorkerState:
    state = WorkerState(name, ("llm",), "ready", 4711, 2, 3, families)
    return replace(state, **changes)


def engine_health(*workers: WorkerState) -> EngineHealth:
    breaker = BreakerSnapshot("open", 3, 5, 1.0)
    stage = StageHealth("llm", "restarting", (RouteHealth("llm", False, breaker),), StageLoad(p90_s=0.25))
    return EngineHealth({"llm": stage}, {state.name: state for state in workers})


def steps(worker_value: float, **labels: str) -> MetricFamily:
    samples = (Sample("voicectl_llm_steps_total", dict(labels), worker_value),)
    return MetricFamily("voicectl_llm_steps", "Steps.", "counter", samples)


def test_workers_stages_and_breakers_are_told(metrics: Metrics) -> None:
    metrics.watch_engine(lambda: engine_health(worker("llm"), worker("tts", state="restarting", restarts=4)))
    assert value(metrics, "voicectl_worker_up", worker="llm") == 1
    assert value(metrics, "voicectl_worker_up", worker="tts") == 0
    assert value(metrics, "voicectl_worker_state", worker="tts", state="restarting") == 1
    assert value(metrics, "voicectl_worker_restarts_total", worker="tts") == 4
    assert value(metrics, "voicectl_worker_queued", worker="llm") == 3
    states = {state: value(metrics, "voicectl_breaker_state", stage="llm", worker="llm", state=state)
              for state in ("closed", "open", "half_open")}  # fmt: skip
    assert states == {"closed": 0, "open": 1, "half_open": 0}
    assert value(metrics, "voicectl_breaker_opened_total", stage="llm", worker="llm") == 5
    assert value(metrics, "voicectl_stage_p90_seconds", stage="llm") == 0.25


def test_what_workers_measure_is_told_with_their_names(metrics: Metrics) -> None:
    gauge = MetricFamily("voicectl_llm_steps", "Not a counter here.", "gauge", (Sample("voicectl_llm_steps", {}, 9.0),))
    metrics.watch_engine(
        lambda: engine_health(worker("a", steps(5)), worker("b", steps(7, kind="x")), worker("c", gauge))
    )
    family = families(metrics)["voicectl_llm_steps"]
    assert {tuple(sorted(sample.labels.items())): sample.value for sample in family.samples} == {
        (("worker", "a"),): 5.0,
        (("kind", "x"), ("worker", "b")): 7.0,
    }


def test_an_engine_that_is_starting_has_no_workers_yet(metrics: Metrics) -> None:
    metrics.watch_engine(lambda: EngineHealth({}, {}))
    assert families(metrics)["voicectl_worker_up"].samples == []


# --- the rest --------------------------------------------------------------------------------


def test_readers_are_asked_at_each_scrape_and_fail_alone(metrics: Metrics) -> None:
    waiting: list[float | None] = [3.0, None]
    refused: Mapping[str, float] = {"full": 2.0, "draining": 1.0}
    metrics.watch_gauge("voicectl_sessions_waiting", "Sessions that wait.", lambda: waiting[0])
    metrics.watch_gauge("voicectl_broken", "A reader that fails.", lambda: 1 / 0)
    metrics.watch_counter("voicectl_sessions_refused", "Refused.", lambda: refused, ("reason",))
    assert value(metrics, "voicectl_sessions_waiting") == 3.0
    assert value(metrics, "voicectl_sessions_refused_total", reason="full") == 2.0
    assert "voicectl_broken" not in families(metrics)
    waiting.pop(0)
    assert value(metrics, "voicectl_sessions_waiting") is None


def test_build_and_process_are_told(metrics: Metrics) -> None:
    told = families(metrics)
    build = told["voicectl_build_info"].samples[0].labels
    assert build["profile"] == "test"
    assert build["model_llm"] == "scripted-model"
    for name in ("process_resident_memory_bytes", "process_open_fds", "process_threads"):
        assert told[name].samples[0].value > 0
    assert not any(sample.name.endswith("_created") for family in told.values() for sample in family.samples)


def test_lateness_of_frames_is_a_histogram_with_edges_at_the_bounds(metrics: Metrics) -> None:
    for seconds in (0.0001, 0.004, 0.02):
        metrics.observe_lateness(seconds)
    assert value(metrics, "voicectl_playout_lateness_seconds_bucket", le="0.005") == 2
    assert value(metrics, "voicectl_playout_lateness_seconds_bucket", le="0.01") == 2
    assert value(metrics, "voicectl_playout_lateness_seconds_count") == 3


class Enough(Exception):
    """The end of a scripted time."""


async def test_the_lag_of_the_event_loop_is_measured() -> None:
    left = [1, 1, 1]

    async def sleep(seconds: float) -> None:
        if not left:
            raise Enough
        left.pop()
        await asyncio.sleep(0)

    metrics = Metrics(profile_with_tool(), sleep=sleep)
    with pytest.raises(Enough):
        await metrics.run()
    assert value(metrics, "voicectl_event_loop_lag_seconds_count") == 3
    assert value(metrics, "voicectl_tasks") == 1
