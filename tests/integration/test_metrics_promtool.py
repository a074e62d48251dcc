"""Prometheus' own tool finds nothing to criticise in the metrics."""

import shutil
import subprocess

import pytest
from prometheus_client import CollectorRegistry, Counter, Histogram

from tests.fakes.conversation import scripted_profile
from voicectl.core import events as ev
from voicectl.core.measures import Measures
from voicectl.core.ports import CallIdentity
from voicectl.engine.breaker import BreakerSnapshot
from voicectl.engine.health import EngineHealth, RouteHealth, StageHealth
from voicectl.engine.snapshot import snapshot
from voicectl.engine.stageload import StageLoad
from voicectl.engine.supervisor import WorkerState
from voicectl.service.checkpoints.keeper import CheckpointHealth
from voicectl.service.load.admission import Admission
from voicectl.service.operations.metric_sources import (
    tell_admission,
    tell_checkpoints,
    tell_measures,
    tell_traces,
    tell_webhooks,
)
from voicectl.service.operations.metrics import Metrics
from voicectl.service.operations.tracing import TraceCounts
from voicectl.service.webhooks.courier import EndpointHealth
from voicectl.service.webhooks.dispatcher import WebhookHealth

pytestmark = pytest.mark.integration

CALL = CallIdentity("sess_1", None, 10.0, False, {})


def measured() -> CollectorRegistry:
    """Return the registry of a worker that has worked."""
    registry = CollectorRegistry(auto_describe=True)
    Counter("voicectl_llm_steps", "Steps.", ["kind"], registry=registry).labels("decode").inc(3)
    Histogram("voicectl_llm_step_seconds", "Time of a step.", registry=registry).observe(0.02)
    return registry


def test_promtool_accepts_the_page() -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed: it comes with the package prometheus")
    metrics = Metrics(scripted_profile())
    breaker = BreakerSnapshot("half_open", 1, 1, 2.0)
    stage = StageHealth("llm", "ready", (RouteHealth("llm", True, breaker),), StageLoad())
    families = snapshot(measured())
    workers = {name: WorkerState(name, ("llm",), "ready", 1, 0, 0, families) for name in ("llm", "spare")}
    metrics.watch_engine(lambda: EngineHealth({"llm": stage}, workers))
    metrics.watch_counter("voicectl_quoted", "Text to be quoted.", lambda: {'a "b"\n\\': 2.0}, ("reason",))
    tell_admission(metrics, Admission(2))
    tell_measures(metrics, lambda: Measures(1, ("drop_partials",), "llm"))
    tell_checkpoints(metrics, lambda: CheckpointHealth("ok", "x", 0, 1, 0, 0, 0, 0, 0, 0, None))
    endpoint = EndpointHealth("crm", "ok", 0, 1, 0, 0, None)
    tell_webhooks(metrics, lambda: WebhookHealth("ok", 0, 1, 0, None, (endpoint,)))
    tell_traces(metrics, lambda: TraceCounts(1, 0, 0))
    metrics.calls.call_started(CALL)
    item = ev.Item("i", "assistant", "{}", kind="function_call", call_id="c", name="x")
    times = ev.StageTimes(last_voiced_at=1.0, committed_at=1.3, first_sent_at=1.5)
    for event in (
        ev.ToolCalled("r", item, None),
        ev.ActionRejected("invalid_value", "no"),
        ev.ServiceDegraded(1, ("partials",), "llm"),
        ev.EscalationRequested("llm", "help"),
        ev.ResponseEnded("r", "i", "completed", "x", "audio", times=times),
    ):
        metrics.calls.call_event(CALL, event, 1.0)
    metrics.exchange_ended("context", "ok", 0.1)
    page, _ = metrics.render()
    checked = subprocess.run([promtool, "check", "metrics"], input=page, capture_output=True, timeout=30, check=False)
    assert (checked.returncode, checked.stderr.decode()) == (0, "")
