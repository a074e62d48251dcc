"""What the parts of the gateway tell `/metrics` about themselves, each read at the scrape."""

from collections.abc import Callable
from typing import Final, get_args

from voicectl.core.measures import Measures
from voicectl.governance.audit.trail import TrailHealth
from voicectl.service.checkpoints.keeper import CheckpointHealth
from voicectl.service.load.admission import Admission, Door
from voicectl.service.operations.metrics import Metrics
from voicectl.service.operations.tracing import TraceCounts
from voicectl.service.recording.recorder import RecordingHealth
from voicectl.service.recording.writer import RecordingState
from voicectl.service.webhooks.dispatcher import WebhookHealth

DOORS: Final[tuple[str, ...]] = get_args(Door)
RECORDING_STATES: Final[tuple[str, ...]] = get_args(RecordingState)


def tell_admission(metrics: Metrics, admission: Admission) -> None:
    """Tell how many sessions there are, may be, wait and were refused, and who gets in."""
    metrics.watch_gauge("voicectl_sessions_admitted", "Places that are taken.", lambda: len(admission))
    metrics.watch_gauge("voicectl_sessions_max", "Places there are.", lambda: admission.max_sessions)
    metrics.watch_gauge("voicectl_sessions_waiting", "Sessions that wait for a place.", lambda: admission.num_waiting)
    metrics.watch_counter("voicectl_sessions_refused", "Sessions refused.", lambda: admission.num_refused)
    metrics.watch_gauge("voicectl_draining", "Whether no session is admitted any more.", lambda: admission.draining)
    metrics.watch_gauge(
        "voicectl_door_state",
        "1 for who gets in: whoever finds a place, who waits for one, nobody.",
        lambda: {door: float(door == admission.door) for door in DOORS},
        ("state",),
    )


def tell_measures(metrics: Metrics, measures: Callable[[], Measures]) -> None:
    """Tell how much less than usual the appliance gives."""
    metrics.watch_gauge("voicectl_degraded_level", "Measures taken against load; 0 is none.", lambda: measures().level)
    metrics.watch_gauge(
        "voicectl_degraded_measure",
        "1 for each measure taken against load.",
        lambda: dict.fromkeys(measures().names, 1.0),
        ("measure",),
    )


def tell_checkpoints(metrics: Metrics, health: Callable[[], CheckpointHealth]) -> None:
    """Tell how well conversations are kept."""
    metrics.watch_gauge("voicectl_checkpoints_ok", "Whether conversations are kept.", lambda: health().state == "ok")
    metrics.watch_gauge("voicectl_checkpoints_pending", "Not written yet.", lambda: health().num_pending)
    metrics.watch_counter(
        "voicectl_checkpoints",
        "Conversations by what became of them.",
        lambda: _of_checkpoints(health()),
        ("outcome",),
    )


def tell_webhooks(metrics: Metrics, health: Callable[[], WebhookHealth]) -> None:
    """Tell how events are stored and delivered, by the receivers' names in the profile."""
    metrics.watch_gauge("voicectl_webhooks_ok", "Whether events can be stored.", lambda: health().state == "ok")
    metrics.watch_gauge("voicectl_webhooks_queued", "Events not stored yet.", lambda: health().num_queued)
    metrics.watch_counter(
        "voicectl_webhook_events",
        "Events by what became of them.",
        lambda: {"stored": health().num_stored, "dropped": health().num_dropped},
        ("outcome",),
    )
    metrics.watch_gauge(
        "voicectl_webhook_waiting",
        "Events that wait for a receiver.",
        lambda: {endpoint.name: endpoint.num_waiting for endpoint in health().endpoints},
        ("endpoint",),
    )
    metrics.watch_counter(
        "voicectl_webhook_deliveries",
        "Deliveries by what became of them.",
        lambda: _of_endpoints(health()),
        ("endpoint", "outcome"),
    )


def tell_recording(metrics: Metrics, health: Callable[[], RecordingHealth]) -> None:
    """Tell how well calls are recorded."""
    metrics.watch_gauge(
        "voicectl_call_records_state",
        "1 for what becomes of call events: the database takes them, they are spilled, some are lost.",
        lambda: {state: float(state == health().state) for state in RECORDING_STATES},
        ("state",),
    )
    metrics.watch_gauge("voicectl_call_events_queued", "Call events not written yet.", lambda: health().num_queued)
    metrics.watch_gauge(
        "voicectl_call_events_spilled_bytes", "Call events that wait for the database.", lambda: health().spilled_bytes
    )
    metrics.watch_counter(
        "voicectl_call_events",
        "Call events by what became of them.",
        lambda: _of_records(health()),
        ("outcome",),
    )


def tell_traces(metrics: Metrics, counts: Callable[[], TraceCounts]) -> None:
    """Tell what became of spans."""
    metrics.watch_gauge("voicectl_trace_spans_waiting", "Spans that wait.", lambda: counts().num_waiting)
    metrics.watch_counter(
        "voicectl_trace_spans",
        "Spans by what became of them.",
        lambda: {"exported": counts().num_exported, "lost": counts().num_lost},
        ("outcome",),
    )


def tell_audit(metrics: Metrics, health: Callable[[], TrailHealth]) -> None:
    """Tell how well the audit log is written."""
    metrics.watch_gauge(
        "voicectl_audit_ok", "Whether the audit log is written and signed.", lambda: not health().last_error
    )
    metrics.watch_gauge("voicectl_audit_waiting", "Entries that wait to be written.", lambda: health().num_waiting)
    metrics.watch_gauge(
        "voicectl_audit_failed_at_seconds", "When an entry was last refused or lost.", lambda: health().failed_at
    )
    metrics.watch_counter(
        "voicectl_audit_entries",
        "Entries by what became of them.",
        lambda: {"written": health().num_written, "failed": health().num_failed},
        ("outcome",),
    )


def _of_records(health: RecordingHealth) -> dict[str, float]:
    counts = health.counts
    return {
        "stored": counts.num_stored,
        "spilled": counts.num_spilled,
        "replayed": counts.num_replayed,
        "lost": counts.num_lost,
        "refused": counts.num_refused,
    }


def _of_checkpoints(health: CheckpointHealth) -> dict[str, float]:
    return {
        "written": health.num_written,
        "write_failed": health.num_failed_writes,
        "read_failed": health.num_failed_reads,
        "dropped": health.num_dropped,
        "refused": health.num_refused,
        "unreadable": health.num_unreadable,
        "resumed": health.num_resumed,
    }


def _of_endpoints(health: WebhookHealth) -> dict[tuple[str, ...], float]:
    counts: dict[tuple[str, ...], float] = {}
    for endpoint in health.endpoints:
        counts[endpoint.name, "delivered"] = endpoint.num_delivered
        counts[endpoint.name, "failed_attempt"] = endpoint.num_failed_attempts
        counts[endpoint.name, "given_up"] = endpoint.num_dead
    return counts
