"""What it costs a caller that the call is recorded: the same calls with and without, on stages of known times.

    python scripts/bench_recording.py                      # four pairs of runs, a quarter of an hour
    python scripts/bench_recording.py --seconds 60 --pairs 1

A machine that is now faster, now slower hides a cost of a hundredth. Here the stages take known times
(`tests/fakes/timed_gateway.py`); sockets, turn taking, playout, redaction, the queue, the writer and its database are
those of every gateway. Two gateways, one of which records, hold the same calls at the same moments, so that turns are
compared with themselves and share what the machine does to them; which of them starts first changes from pair to
pair. Exit 1 where an interval of all pairs lies wholly above the bar of 1 %.
"""

import argparse
import asyncio
import sqlite3
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from voicectl.bench.generator.run import Limits, run_load
from voicectl.bench.generator.target import Target
from voicectl.bench.run_record import CallSample, LoadPlan, RunRecord
from voicectl.bench.statistics.compare import Comparison, compare
from voicectl.bench.workload.ready import ReadyWorkload
from voicectl.core.config import load_profile
from voicectl.service.speaking_workloads import speaking_workload

GATEWAY = Path(__file__).resolve().parent.parent / "tests" / "fakes" / "timed_gateway.py"
WORKLOAD = Path(__file__).resolve().parent.parent / "tests" / "data" / "one_sentence.yaml"
BAR = 1.01
START_TIMEOUT_S = 60.0


@asynccontextmanager
async def gateway(settings: list[str]) -> AsyncIterator[str]:
    """Run the gateway for the length of a block and give its base URL."""
    options = [part for text in settings for part in ("--set", text)]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(GATEWAY), *options), stdout=asyncio.subprocess.PIPE, start_new_session=True
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(START_TIMEOUT_S):
            url = (await process.stdout.readline()).decode().strip()
        if not url:
            raise SystemExit("error: the gateway did not start")
        yield url
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def held(workload: ReadyWorkload, plan: LoadPlan, folder: Path, *, recording: bool) -> RunRecord:
    """Hold the calls of `plan`. Ends the script when recording did not do what is to be measured."""
    database = folder / f"{recording}.db"
    settings = [
        *("access.anonymous=true", "access.check_keys=false", "server.max_sessions=200"),
        *("audit.enabled=false", "governance.enforce=false", "governance.scoring=false"),
        *(f"governance.enabled={str(recording).lower()}", f"governance.url=sqlite:///{database}"),
        f"governance.spill_folder={folder / f'{recording}.spill'}",
    ]
    async with gateway(settings) as url:
        record = await run_load(plan, workload, Target(url))
    turns = sum(turn.end == "answered" for call in record.calls for turn in call.turns)
    written = _num_events(database)
    if bool(written) is not recording or (recording and written < turns):
        raise SystemExit(f"error: {written} events were recorded of {turns} answered turns")
    return record


def _num_events(database: Path) -> int:
    if not database.is_file():
        return 0
    with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as connection:
        count: int = connection.execute("SELECT count(*) FROM events").fetchone()[0]
        return count


async def pairs(options: argparse.Namespace) -> Comparison:
    """Hold all runs and print a row a pair; return what those that are VALID say together."""
    workload = await speaking_workload(options.workload, load_profile("cpu"))
    seen: dict[bool, list[RunRecord]] = {False: [], True: []}
    for number in range(options.pairs):
        plan = LoadPlan(
            workload.name, workload.digest, number + 1, "closed", None, options.callers, None, options.seconds, 10.0
        )
        order = (False, True) if number % 2 == 0 else (True, False)
        with tempfile.TemporaryDirectory(prefix="voicectl-recording-") as folder:
            records = await asyncio.gather(*(held(workload, plan, Path(folder), recording=kind) for kind in order))
        pair = dict(zip(order, records, strict=True))
        comparison = compare(pair[False], pair[True])
        say(row(f"{number + 1}", comparison, records[0].health.stolen_share))
        if comparison.ratios:
            for kind, record in pair.items():
                seen[kind].append(record)
    if not seen[True]:
        raise SystemExit("error: no pair of runs was VALID: this machine is too busy")
    together = compare(joined(seen[False]), joined(seen[True]))
    shares = [record.health.stolen_share for record in seen[True]]
    say(row("all", together, sum(shares) / len(shares)))
    return together


def joined(records: list[RunRecord]) -> RunRecord:
    """Return several runs as one: their calls one after the other, numbered so that pairs of turns stay pairs."""
    calls: list[CallSample] = []
    begun_s = 0.0
    for number, record in enumerate(records):
        calls += [_later(call, begun_s, number * Limits().max_calls) for call in record.calls]
        begun_s += record.wall_s
    return replace(records[0], calls=tuple(calls), wall_s=begun_s)


def _later(call: CallSample, by_s: float, first: int) -> CallSample:
    def moved(at: float | None) -> float | None:
        return None if at is None else at + by_s

    return replace(
        call,
        call=first + call.call,
        scheduled_at=call.scheduled_at + by_s,
        started_at=moved(call.started_at),
        connected_at=moved(call.connected_at),
        ended_at=moved(call.ended_at),
        turns=tuple(replace(turn, intended_at=moved(turn.intended_at)) for turn in call.turns),
    )


def row(name: str, comparison: Comparison, stolen: float) -> str:
    """Return one row of the table."""
    if not comparison.ratios:
        return f"| {name} | {comparison.outcome}: {comparison.reason} |"
    told = []
    for ratio in comparison.ratios:
        if ratio.ratio is None or ratio.before_s is None or ratio.after_s is None:
            told += [f"{ratio.reason}", "–"]
            continue
        high = "–" if ratio.high is None else f"{ratio.high:.3f}"
        told += [
            f"{1000 * ratio.before_s:.1f} / {1000 * ratio.after_s:.1f}",
            f"{ratio.ratio:.4f} [{ratio.low:.3f}–{high}]",
        ]
    shift = comparison.shift
    if shift is None or shift.shift_s is None or shift.low_s is None or shift.high_s is None:
        told.append("–")
    else:
        told.append(f"{1000 * shift.shift_s:+.2f} [{1000 * shift.low_s:+.2f} to {1000 * shift.high_s:+.2f}]")
    return f"| {name} | {comparison.num_before} | {' | '.join(told)} | {100 * stolen:.1f} % |"


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> int:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workload", default=str(WORKLOAD), help="name or file")
    parser.add_argument("--callers", type=int, default=3, help="of each gateway")
    parser.add_argument("--seconds", type=float, default=200.0, help="how long calls begin in each run")
    parser.add_argument("--pairs", type=int, default=4)
    options = parser.parse_args()
    say(
        "| pair | turns | P50 without / with, ms | ratio | P95 without / with, ms | ratio | median shift, ms | stolen |"
    )
    say("|---|---|---|---|---|---|---|---|")
    together = asyncio.run(pairs(options))
    over = any(ratio.low is not None and ratio.low > BAR for ratio in together.ratios)
    return 1 if over or not together.ratios else 0


if __name__ == "__main__":
    sys.exit(main())
