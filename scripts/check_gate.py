"""Prove the gate's numbers: false promotion, power, adversarial data sets, changed bytes, speed.

Run from the root of a checkout:

    python scripts/check_gate.py chance             simulated rollouts; seconds
    python scripts/check_gate.py adversarial        10,000 spoiled data sets through the real code; an hour a core
    python scripts/check_gate.py bytes              one-byte changes of evidence, policy, sign-off
    python scripts/check_gate.py speed              1,000,000 calls in SQLite

Each prints one JSON document and exits 1 when its bar is not met.
"""

import argparse
import json
import math
import random
import resource
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import insert

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.fakes.gate_case import NOW, SPOILERS, GateCase, started
from tests.fakes.reviewers import BINDINGS, panel, statement
from voicectl.core.errors import VoicectlError
from voicectl.governance.gate.collect import collect
from voicectl.governance.gate.statistics import log_e_value
from voicectl.governance.policy.load import PACKAGED, load_policy, parse_policy
from voicectl.governance.signoff.envelope import open_sealed, seal
from voicectl.governance.store.location import SqliteFile
from voicectl.governance.store.store import open_store
from voicectl.governance.store.tables import calls, events

DAYS, A_DAY, WINDOW = 60, 60, 7
TRANSFERS_A_DAY = 13
"""Of 60 calls, at the usual escalation rate of 22 %."""


def promoted(rate: float, bar: float, *, a_day: int, min_n: int, paths: int, seed: int) -> "np.ndarray[Any, Any]":
    """Return for every simulated rollout and day whether the criterion was met: the rule of the gate, vectorised."""
    good = np.random.default_rng(seed).binomial(a_day, rate, (paths, DAYS)).cumsum(axis=1)
    total = np.arange(1, DAYS + 1) * a_day
    window = good.copy()
    window[:, WINDOW:] -= good[:, :-WINDOW]
    in_window = np.minimum(total, WINDOW * a_day)
    met: np.ndarray[Any, Any] = (
        (log_e_value(good, total[np.newaxis, :], bar) >= -math.log(0.05))
        & (window >= bar * in_window)
        & (in_window >= min_n)
    )
    return met


def chance(arguments: argparse.Namespace) -> tuple[dict[str, Any], bool]:
    """Measure false promotion with the true rate at the bar, and power at five points more."""
    paths = arguments.paths
    found: dict[str, Any] = {"paths": paths, "days": DAYS, "calls_a_day": A_DAY}
    at_bar = {
        "containment 70 %": (0.70, A_DAY, 200),
        "containment 60 %": (0.60, A_DAY, 200),
        "flags 2 %": (0.98, A_DAY, 133),
        "warm transfers 95 %": (0.95, TRANSFERS_A_DAY, 52),
    }
    found["false_promotion"] = {
        name: float(promoted(bar, bar, a_day=a_day, min_n=least, paths=paths, seed=seed).any(axis=1).mean())
        for seed, (name, (bar, a_day, least)) in enumerate(at_bar.items())
    }
    power = {}
    for seed, (name, bar) in enumerate((("containment 70 % at 75 %", 0.70), ("containment 60 % at 65 %", 0.60))):
        met = promoted(bar + 0.05, bar, a_day=A_DAY, min_n=200, paths=paths, seed=100 + seed)
        days = np.where(met.any(axis=1), met.argmax(axis=1) + 1, DAYS + 1)
        power[name] = {"power": float(met.any(axis=1).mean()), "median_day": float(np.median(days))}
    found["power"] = power
    whole = (
        promoted(0.75, 0.70, a_day=A_DAY, min_n=200, paths=paths, seed=7)
        & promoted(0.998, 0.98, a_day=A_DAY, min_n=133, paths=paths, seed=8)
        & promoted(0.995, 0.95, a_day=TRANSFERS_A_DAY, min_n=52, paths=paths, seed=9)
    )
    found["low_tier_together"] = {
        "rates": "containment 75 %, flags 0.2 %, warm transfers 99.5 %",
        "power": float(whole.any(axis=1).mean()),
    }
    found["bars"] = {"false_promotion": 0.05, "power": 0.95}
    held = max(found["false_promotion"].values()) <= 0.05 and min(one["power"] for one in power.values()) >= 0.95
    return found, held


def _spoiled(seed: int) -> tuple[str, str, str]:
    chance_of = random.Random(seed)  # noqa: S311 - a test
    spoiler = SPOILERS[seed % len(SPOILERS)]
    case = GateCase(
        days=chance_of.randint(8, 12),
        contained=chance_of.uniform(0.80, 0.83),
        escalated=chance_of.uniform(0.15, 0.17),
        seed=seed,
    )
    before = case.verdict().decision if seed % 50 < 1 else ""
    spoiler(case, chance_of)
    return spoiler.__name__, case.verdict().decision, before


def adversarial(arguments: argparse.Namespace) -> tuple[dict[str, Any], bool]:
    """Spoil data sets that deserve a promotion, and count those that are promoted all the same."""
    wrong: Counter[str] = Counter()
    decisions: Counter[str] = Counter()
    sound: Counter[str] = Counter()
    with ProcessPoolExecutor(arguments.workers) as pool:
        for name, decision, before in pool.map(_spoiled, range(arguments.sets), chunksize=20):
            decisions[decision] += 1
            wrong[name] += decision == "promote"
            sound[before] += 1
    sound.pop("", None)
    found = {
        "data_sets": arguments.sets,
        "promotions": sum(wrong.values()),
        "promoted_by": {name: number for name, number in wrong.items() if number},
        "decisions": dict(decisions),
        "unspoiled": dict(sound),
    }
    return found, not sum(wrong.values()) and sound["promote"] > 0


def changed_bytes(arguments: argparse.Namespace) -> tuple[dict[str, Any], bool]:
    """Change one byte, or one value of a row, and count what goes unnoticed."""
    chance_of, number = random.Random(1), arguments.changes  # noqa: S311 - a test
    missed = {"policy": 0, "signoff": 0, "evidence": 0}
    policy = PACKAGED.read_bytes()
    whole = load_policy().sha256
    with tempfile.TemporaryDirectory() as name:
        people = panel(Path(name))
        signoff = seal(statement("one"), BINDINGS, people.keys["one"])
        for _ in range(number):
            with suppress(VoicectlError):
                missed["policy"] += parse_policy(Path("p"), _changed(policy, chance_of)).sha256 == whole
            with suppress(VoicectlError):
                open_sealed(_changed(signoff, chance_of), people.reviewers, "s")
                missed["signoff"] += 1
    missed["evidence"] = _changed_evidence(number, chance_of)
    return {"changes_each": number, "missed": missed}, not any(missed.values())


def _changed(content: bytes, chance_of: random.Random) -> bytes:
    at = chance_of.randrange(len(content))
    return content[:at] + bytes([content[at] ^ chance_of.randrange(1, 256)]) + content[at + 1 :]


def _changed_evidence(number: int, chance_of: random.Random) -> int:
    """Change a byte of a value that the gate reads, in a settled row, and count unchanged digests."""
    missed, case = 0, GateCase(days=8, per_day=30)
    texts = (
        "call_id",
        "use_case",
        "tier",
        "model_digest",
        "prompt_digest",
        "config_digest",
        "judge_digest",
        "score_state",
    )
    flags = ("resolved", "abandoned", "transfer_attempted", "compliance_flagged", "escalated", "probe")
    times = ("started_at", "ended_at")
    whole = case.evidence().digest
    for _ in range(number):
        row = chance_of.choice(case.rows[:-10])
        name = chance_of.choice([*texts, *flags, *times])
        old = row[name]
        if name in texts:
            at = chance_of.randrange(len(old))
            row[name] = old[:at] + chr(ord(old[at]) ^ 0x10) + old[at + 1 :]
        elif name in flags:
            row[name] = not old
        else:
            row[name] = old + chance_of.choice([-1, 1]) * 10 ** chance_of.uniform(-5, 3)
        missed += case.evidence().digest == whole
        row[name] = old
    return missed


def speed(arguments: argparse.Namespace) -> tuple[dict[str, Any], bool]:
    """Measure a check's evidence over a million calls."""
    with tempfile.TemporaryDirectory() as folder:
        place = SqliteFile(Path(folder) / "records.db")
        _fill(place, arguments.calls)
        policy, runs = load_policy().policy, []
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for _ in range(3):
            with open_store(place, create=False) as store, store.read() as connection:
                wall, cpu = time.perf_counter(), time.process_time()
                evidence = collect(connection, policy, "low", as_of=NOW, now=NOW, entered={})
                runs.append({"wall_s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu})
        peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    found = {
        "calls": sum(one.num_calls for one in evidence.use_cases),
        "runs": runs,
        "peak_mb": peak_mb,
        "peak_before_mb": before / 1024,
    }
    return found, peak_mb <= 500 and min(run["cpu_s"] for run in runs) <= 10


def _fill(place: SqliteFile, number: int) -> None:
    pattern = GateCase(days=10, per_day=60).rows
    with open_store(place) as store:
        for start in range(0, number, 20_000):
            rows = []
            for at in range(start, min(start + 20_000, number)):
                ended_at = NOW - 600 - (number - at) * 5.0
                row = pattern[at % len(pattern)]
                times = {"started_at": ended_at - 90, "answered_at": ended_at - 89, "ended_at": ended_at}
                rows.append({**row, **times, "call_id": f"{at:032x}", "trace_id": f"{at:032x}"})
            with store.write() as connection:
                connection.execute(insert(calls), rows)
                connection.execute(insert(events), [started(row["call_id"], row["started_at"]) for row in rows])


def main() -> int:
    """Run one proof."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    for name, proof in (("chance", chance), ("adversarial", adversarial), ("bytes", changed_bytes), ("speed", speed)):
        command = commands.add_parser(name)
        command.set_defaults(proof=proof)
        command.add_argument("--paths", type=int, default=100_000)
        command.add_argument("--sets", type=int, default=10_000)
        command.add_argument("--workers", type=int, default=1)
        command.add_argument("--changes", type=int, default=2_000)
        command.add_argument("--calls", type=int, default=1_000_000)
    arguments = parser.parse_args()
    found, held = arguments.proof(arguments)
    sys.stdout.write(json.dumps({**found, "held": held}, indent=2) + "\n")
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
