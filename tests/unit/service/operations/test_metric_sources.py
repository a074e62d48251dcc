"""What the parts of the gateway tell about themselves."""

import re

from tests.fakes.conversation import scripted_profile
from voicectl.core.measures import Measures
from voicectl.governance.audit.trail import TrailHealth
from voicectl.service.checkpoints.keeper import CheckpointHealth
from voicectl.service.load.admission import Admission
from voicectl.service.operations.metric_sources import (
    tell_admission,
    tell_audit,
    tell_checkpoints,
    tell_measures,
    tell_recording,
    tell_traces,
    tell_webhooks,
)
from voicectl.service.operations.metrics import Metrics
from voicectl.service.operations.tracing import TraceCounts
from voicectl.service.recording.recorder import RecordingHealth
from voicectl.service.recording.writer import Counts
from voicectl.service.webhooks.courier import EndpointHealth
from voicectl.service.webhooks.dispatcher import WebhookHealth


def told(metrics: Metrics) -> set[str]:
    """Return the lines of the page, numbers without their `.0`."""
    page = metrics.render()[0].decode()
    return {re.sub(r"\.0$", "", line) for line in page.splitlines() if not line.startswith("#")}


def test_the_audit_log_tells_what_was_written_and_when_something_was_not() -> None:
    metrics = Metrics(scripted_profile())
    health = [TrailHealth(7, 0, 2, None)]
    tell_audit(metrics, lambda: health[0])
    assert {
        "voicectl_audit_ok 1",
        "voicectl_audit_waiting 2",
        'voicectl_audit_entries_total{outcome="written"} 7',
        'voicectl_audit_entries_total{outcome="failed"} 0',
    } <= told(metrics)
    assert not any(line.startswith("voicectl_audit_failed_at_seconds") for line in told(metrics))
    health[0] = TrailHealth(7, 1, 0, "the disk is full", 1000.0)
    assert {"voicectl_audit_ok 0", "voicectl_audit_failed_at_seconds 1000"} <= told(metrics)


async def test_admission_tells_its_places_and_its_door() -> None:
    metrics = Metrics(scripted_profile())
    admission = Admission(3)
    tell_admission(metrics, admission)
    await admission.admit("a")
    admission.set_door("closed")
    assert {
        "voicectl_sessions_admitted 1",
        "voicectl_sessions_max 3",
        "voicectl_sessions_waiting 0",
        "voicectl_sessions_refused_total 0",
        "voicectl_draining 0",
        'voicectl_door_state{state="closed"} 1',
        'voicectl_door_state{state="open"} 0',
    } <= told(metrics)


def test_measures_are_told_while_they_last() -> None:
    metrics = Metrics(scripted_profile())
    now = [Measures(2, ("drop_partials", "shorter_replies"), "llm")]
    tell_measures(metrics, lambda: now[0])
    assert {"voicectl_degraded_level 2", 'voicectl_degraded_measure{measure="drop_partials"} 1'} <= told(metrics)
    now[0] = Measures()
    assert "voicectl_degraded_level 0" in told(metrics)
    assert not any(line.startswith("voicectl_degraded_measure") for line in told(metrics))


def test_checkpoints_webhooks_and_traces_tell_what_was_lost() -> None:
    metrics = Metrics(scripted_profile())
    kept = CheckpointHealth("failing", "redis://x", 2, 10, 3, 0, 1, 0, 0, 4, "gone")
    endpoint = EndpointHealth("crm", "failing", 5, 7, 2, 1, None)
    tell_checkpoints(metrics, lambda: kept)
    tell_webhooks(metrics, lambda: WebhookHealth("ok", 1, 9, 2, None, (endpoint,)))
    tell_traces(metrics, lambda: TraceCounts(100, 3, 2))
    assert {
        "voicectl_checkpoints_ok 0",
        "voicectl_checkpoints_pending 2",
        'voicectl_checkpoints_total{outcome="dropped"} 1',
        'voicectl_checkpoints_total{outcome="resumed"} 4',
        "voicectl_webhooks_ok 1",
        'voicectl_webhook_events_total{outcome="dropped"} 2',
        'voicectl_webhook_waiting{endpoint="crm"} 5',
        'voicectl_webhook_deliveries_total{endpoint="crm",outcome="given_up"} 1',
        "voicectl_trace_spans_waiting 2",
        'voicectl_trace_spans_total{outcome="lost"} 3',
    } <= told(metrics)


def test_records_tell_what_became_of_events() -> None:
    metrics = Metrics(scripted_profile())
    tell_recording(metrics, lambda: RecordingHealth("spilling", 3, 4096, Counts(10, 5, 4, 2, 1), "gone"))
    assert {
        'voicectl_call_records_state{state="spilling"} 1',
        'voicectl_call_records_state{state="ok"} 0',
        "voicectl_call_events_queued 3",
        "voicectl_call_events_spilled_bytes 4096",
        'voicectl_call_events_total{outcome="lost"} 2',
        'voicectl_call_events_total{outcome="refused"} 1',
    } <= told(metrics)
