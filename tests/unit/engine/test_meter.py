"""What a stage counts, under the names that dashboards know."""

from prometheus_client import CollectorRegistry

from voicectl.core.ports import Priority
from voicectl.engine.messages import Failed, Scored
from voicectl.engine.meter import SECONDS, StageMeter


def test_requests_are_counted_by_how_they_ended() -> None:
    registry = CollectorRegistry()
    meter = StageMeter(registry, "turn")
    meter.ended(Scored(0.5))
    meter.ended(Failed("rejected", "full"))
    meter.ended(Failed("rejected", "full"))
    counted = {
        outcome: registry.get_sample_value("voicectl_turn_requests_total", {"outcome": outcome})
        for outcome in ("done", "rejected", "cancelled")
    }
    assert counted == {"done": 1, "rejected": 2, "cancelled": None}


def test_waits_are_told_apart_by_priority() -> None:
    registry = CollectorRegistry()
    meter = StageMeter(registry, "stt")
    meter.waited(Priority.FINAL, 0.02)
    meter.waited(7, 0.02)
    name = "voicectl_stt_queue_wait_seconds_count"
    assert registry.get_sample_value(name, {"priority": "final"}) == 1
    assert registry.get_sample_value(name, {"priority": "other"}) == 1


def test_batches_and_their_time_are_counted() -> None:
    registry = CollectorRegistry()
    StageMeter(registry, "stt").computed(3, 0.4)
    assert registry.get_sample_value("voicectl_stt_batch_size_bucket", {"le": "2.0"}) == 0
    assert registry.get_sample_value("voicectl_stt_batch_size_bucket", {"le": "3.0"}) == 1
    assert registry.get_sample_value("voicectl_stt_compute_seconds_sum") == 0.4


def test_durations_have_edges_where_alerts_are_set() -> None:
    assert {0.3, 0.5, 0.8} <= set(SECONDS)
