"""Measure what recording costs: a call's event on the event loop, the writer's thread, and an export.

Processor time, not wall time: the numbers hold on a busy machine too. One JSON document on stdout.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.fakes.recorded_call import identity, scribe, turn, whole_call
from voicectl.core import events as ev
from voicectl.core.log import configure
from voicectl.governance.store.export import export_rows
from voicectl.governance.store.location import SqliteFile
from voicectl.governance.store.recording import CallRecords
from voicectl.governance.store.rows import CallFilter
from voicectl.governance.store.store import open_store
from voicectl.service.recording.observer import RecordingObserver
from voicectl.service.recording.scribe import Noted
from voicectl.service.recording.spill import Spill
from voicectl.service.recording.writer import Writer


def percentiles(values: list[float]) -> dict[str, float | int]:
    """Return the 50th, 95th and 99th percentile, in microseconds."""
    ordered = sorted(values)
    at = {f"p{share}_us": round(ordered[len(ordered) * share // 100] * 1e6, 2) for share in (50, 95, 99)}
    return {"n": len(ordered), **at}


def observed(num: int) -> dict[str, Any]:
    """Time the observer, event by event, as the event loop calls it."""
    taken: list[Noted] = []
    observer = RecordingObserver(taken.append)
    call, said = identity(), ev.TranscriptFinal("item", "where is my order", 1.5)
    delta = ev.TranscriptDelta("item", "where")
    return {
        "kept": percentiles(timed(lambda: observer.call_event(call, said, 1.0), num)),
        "not_kept": percentiles(timed(lambda: observer.call_event(call, delta, 1.0), num)),
    }


def timed(work: Callable[[], object], num: int) -> list[float]:
    """Return the seconds of each of `num` runs."""
    clock, spans = time.perf_counter, []
    for _ in range(num):
        started = clock()
        work()
        spans.append(clock() - started)
    return spans


def written(folder: Path, calls: int, turns: int) -> dict[str, Any]:
    """Write calls that go on at the same time, a turn of each a commit, as the thread does."""
    writer = Writer(
        scribe(),
        lambda: open_store(SqliteFile(folder / "records.db"), timeout_s=30),
        Spill(folder / "spill", max_bytes=1 << 30),
    )
    writer.begin()
    live = [identity(f"sess_{number}") for number in range(calls)]
    writer.write([whole_call(call)[0] for call in live])
    cpu, wall = time.thread_time(), time.perf_counter()
    commits = []
    for number in range(1, turns + 1):
        began = time.thread_time()
        writer.write([noted for call in live for noted in turn(call, number)])
        commits.append(time.thread_time() - began)
    cpu, wall = time.thread_time() - cpu, time.perf_counter() - wall
    events = writer.counts.num_stored - calls
    assert (writer.counts.num_spilled, writer.counts.num_lost) == (0, 0)
    writer.close()
    return {
        "calls": calls,
        "events": events,
        "cpu_us_an_event": round(cpu / events * 1e6, 1),
        "events_a_cpu_second": round(events / cpu),
        "events_a_second": round(events / wall),
        "cpu_a_commit": percentiles(commits),
    }


def exported(folder: Path, rows: int) -> dict[str, Any]:
    """Export so many calls, by format."""
    store = open_store(SqliteFile(folder / "export.db"), timeout_s=30)
    records, by = CallRecords(store), scribe()
    batch = []
    for number in range(rows):
        batch += [event for noted in whole_call(identity(f"s{number:07d}"), 1)[::3] for event in by.write(noted)]
        if len(batch) >= 2000:
            records.append(batch)
            batch = []
    records.append(batch)
    results = {}
    for file_format in ("csv", "jsonl", "parquet"):
        cpu, wall = time.process_time(), time.perf_counter()
        count = export_rows(store, "calls", CallFilter(), folder / f"calls.{file_format}", file_format)  # type: ignore[arg-type]
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        size = (folder / f"calls.{file_format}").stat().st_size
        results[file_format] = {"rows": count, "cpu_s": round(cpu, 2), "wall_s": round(wall, 2), "bytes": size}
    store.close()
    return results


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--calls", type=int, default=16)
    parser.add_argument("--turns", type=int, default=100)
    parser.add_argument("--rows", type=int, default=100_000)
    chosen = parser.parse_args()
    configure(json=True, level="error")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        document = {
            "observer": observed(chosen.events),
            "writer": written(folder, chosen.calls, chosen.turns),
            "export": exported(folder, chosen.rows),
        }
    sys.stdout.write(json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":
    main()
