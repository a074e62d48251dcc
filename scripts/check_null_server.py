"""Check the load generator on a server whose delays are known, and print what it recovers as a Markdown table.

    python scripts/check_null_server.py                 # 50 concurrent calls, about two minutes
    python scripts/check_null_server.py --calls 20 --seconds 10

Each row is one run against a null server in a process of its own: what the server says that its answers took,
what the bench measured, and how punctual the bench was. Run it on an idle machine; it ends with status 30 where
a bar is missed.
"""

import argparse
import asyncio
import os
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.fakes.null_server import NullServer, Script, null_server
from voicectl.bench.generator.run import Limits, run_load
from voicectl.bench.generator.target import Target
from voicectl.bench.run_record import LoadPlan, RunRecord
from voicectl.bench.workload.ready import ReadyConversation, ReadyTurn, ReadyWorkload, Sound, with_digest

RATE = 24_000
SHARES = (50, 95, 99)
ERROR_BAR = 0.03
ADDED_BAR_S = 0.003
LAG_BAR_S = 0.005
MISSED = 30


@dataclass(frozen=True)
class Row:
    """One run: the truth, what was measured, and the generator's own lateness, all in seconds."""

    name: str
    true_s: np.ndarray
    found_s: np.ndarray
    added_s: np.ndarray
    lag_s: np.ndarray
    cpu_share: float
    server_cores: float
    stolen_share: float

    def errors(self) -> list[float]:
        """Return the relative error of each percentile."""
        return [float(np.percentile(self.found_s, p) / np.percentile(self.true_s, p) - 1) for p in SHARES]

    def met(self) -> bool:
        """Return whether every bar is met."""
        return (
            max(map(abs, self.errors())) <= ERROR_BAR
            and float(np.median(self.added_s)) <= ADDED_BAR_S
            and float(np.percentile(self.lag_s, 99)) <= LAG_BAR_S
        )

    def line(self) -> str:
        """Return the row of the table."""
        true = " / ".join(f"{np.percentile(self.true_s, p) * 1000:.1f}" for p in SHARES)
        found = " / ".join(f"{np.percentile(self.found_s, p) * 1000:.1f}" for p in SHARES)
        errors = " / ".join(f"{100 * error:+.2f}" for error in self.errors())
        added = " / ".join(f"{np.percentile(self.added_s, p) * 1000:.2f}" for p in SHARES)
        lag = " / ".join(f"{np.percentile(self.lag_s, p) * 1000:.2f}" for p in SHARES)
        return (
            f"| {self.name} | {self.true_s.size} | {true} | {found} | {errors} | {added} | {lag} |"
            f" {100 * self.cpu_share:.0f} % | {100 * self.server_cores:.0f} % |"
            f" {100 * self.stolen_share:.1f} % | {'yes' if self.met() else 'NO'} |"
        )


def scripts() -> dict[str, Script]:
    """Return the servers to measure."""
    return {
        "constant 300 ms": Script(("constant", 0.3), reply_s=0.6),
        "lognormal, median 400 ms, σ 0.4": Script(("lognormal", 0.4, 0.4), seed=1, reply_s=0.6),
        "bimodal 250 / 900 ms, 10 % slow": Script(("bimodal", 0.25, 0.9, 0.1), seed=2, reply_s=0.6),
        "constant 300 ms, stalls of 2 s and 1 s": Script(("constant", 0.3), reply_s=0.6, stalls=((4, 2), (9, 1))),
    }


def spoken(num_turns: int) -> ReadyWorkload:
    """Return a workload of half a second of tone a turn, whose last voiced sample is its last."""
    num = RATE // 2
    samples = 0.3 * np.sin(2 * np.pi * 300 * (np.arange(num) + 9) / RATE)
    sound = Sound((samples * 32767).astype("<i2").tobytes(), 0.0, (num - 1) / RATE)
    turn = ReadyTurn("tone", "speech", 0, 0.5, pause_s=0.8, pause_spread_s=0.3)
    conversation = ReadyConversation("tones", 1.0, (turn,) * num_turns)
    return with_digest(ReadyWorkload("null", "", (conversation,), (sound,)))


async def measured(name: str, script: Script, calls: int, seconds: float, workers: int | None) -> Row:
    """Hold `calls` concurrent calls with a null server for `seconds`."""
    workload = spoken(max(1, round(seconds / 2.4)))
    plan = LoadPlan("null", workload.digest, 1, "closed", None, calls, None, 2.0, 20.0)
    async with null_server(script) as server:
        record = await run_load(plan, workload, Target(server.url), limits=Limits(workers=workers))
    return row_of(name, record, server)


def row_of(name: str, record: RunRecord, server: NullServer) -> Row:
    """Set what was measured against the truth, answer by answer in the order of their intended instants."""
    turns = [turn for call in record.calls for turn in call.turns]
    ends = {turn.end for turn in turns} | {call.end for call in record.calls}
    if ends != {"answered", "completed"}:
        raise SystemExit(f"error: {name}: not every call was held and answered: {sorted(ends)}")
    found = sorted((turn.intended_at or 0.0, turn.v2v_s or 0.0) for turn in turns)
    true = sorted((turn.voiced_at, turn.true_s) for turn in server.turns)
    found_s = np.array([seconds for _, seconds in found])
    true_s = np.array([seconds for _, seconds in true])
    health = record.health
    lag_s = np.array(health.lag_s)
    return Row(name, true_s, found_s, found_s - true_s, lag_s, health.cpu_share, server.cores, health.stolen_share)


def main() -> int:
    """Measure, print, and say whether all bars are met."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=50, help="concurrent calls")
    parser.add_argument("--seconds", type=float, default=20.0, help="length of each call")
    parser.add_argument("--workers", type=int, help="processes of the generator")
    options = parser.parse_args()
    say = sys.stdout.write
    say(f"{options.calls} concurrent calls, {os.cpu_count()} cores; P50 / P95 / P99, milliseconds\n\n")
    say("| server | answers | true | measured | error, % | added | schedule lag | bench | server | stolen | met |\n")
    say("|---|---|---|---|---|---|---|---|---|---|---|\n")
    met = True
    for name, script in scripts().items():
        row = asyncio.run(measured(name, script, options.calls, options.seconds, options.workers))
        say(row.line() + "\n")
        sys.stdout.flush()
        met = met and row.met()
    return 0 if met else MISSED


if __name__ == "__main__":
    sys.exit(main())
