from prometheus_client import Counter, Gauge, Histogram, Summary

from voicectl.engine.messages import Pong, decode_from_worker, encode
from voicectl.engine.snapshot import MAX_SAMPLES, snapshot, worker_registry


def test_snapshot_holds_what_was_measured_and_fits_into_a_pong() -> None:
    registry = worker_registry()
    Counter("voicectl_x_jobs", "Jobs.", ["kind"], registry=registry).labels("final").inc(3)
    Gauge("voicectl_x_depth", "Depth.", registry=registry).set(2)
    Histogram("voicectl_x_seconds", "Time.", buckets=(0.1, 1.0), registry=registry).observe(0.5)
    Summary("voicectl_x_summary", "Not sent.", registry=registry).observe(1)
    families = {family.name: family for family in snapshot(registry)}
    assert families["voicectl_x_jobs"].kind == "counter"
    (jobs,) = families["voicectl_x_jobs"].samples
    assert (jobs.name, jobs.labels, jobs.value) == ("voicectl_x_jobs_total", {"kind": "final"}, 3.0)
    assert families["voicectl_x_depth"].samples[0].value == 2
    buckets = [sample for sample in families["voicectl_x_seconds"].samples if sample.name.endswith("_bucket")]
    assert [(sample.labels["le"], sample.value) for sample in buckets] == [("0.1", 0), ("1.0", 1), ("+Inf", 1)]
    assert families["voicectl_worker_process_resident_memory_bytes"].samples[0].value > 1_000_000
    assert "voicectl_x_summary" not in families
    pong = Pong(1, 2, tuple(families.values()))
    assert decode_from_worker(encode(pong)) == pong


def test_samples_of_a_metric_are_bounded() -> None:
    registry = worker_registry()
    counter = Counter("voicectl_x_wild", "Labels without bound.", ["text"], registry=registry)
    for number in range(2 * MAX_SAMPLES):
        counter.labels(str(number)).inc()
    (family,) = [family for family in snapshot(registry) if family.name == "voicectl_x_wild"]
    assert len(family.samples) == MAX_SAMPLES
