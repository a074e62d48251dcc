"""Kill the whole gateway under live calls, again and again: every event that was committed or spilled must be kept.

Right before each SIGKILL the events in the database are counted by another reader, and the spill is looked at. At
the end one more gateway starts, so that what was spilled comes in, and is asked to end. Exit 1 when an event that
was there is not, or when a call has a gap in its events.
"""

import argparse
import asyncio
import json
import sqlite3
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from random import Random
from typing import Any

from fault_workers import free_port, gateway_on, say, until_ready
from speech_clips import SPEECH, clean_utterances, machine

from voicectl.bench.load import LoadShape, Utterance, run_calls
from voicectl.core.log import configure

Event = tuple[str, int]
"""A call, and the number of one of its events."""
REPLAY_S = 30.0


def committed(database: Path) -> frozenset[Event]:
    """Return the events that another process can read."""
    with sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=10) as connection:
        return frozenset(connection.execute("SELECT call_id, sequence FROM events"))


def gaps(events: frozenset[Event]) -> list[str]:
    """Return the calls whose events are not numbered without a gap."""
    numbers: dict[str, set[int]] = defaultdict(set)
    for call, sequence in events:
        numbers[call].add(sequence)
    return sorted(call for call, found in numbers.items() if found != set(range(len(found))))


async def kill_once(
    settings: list[str], utterances: list[Utterance], database: Path, options: argparse.Namespace, random: Random
) -> frozenset[Event]:
    """Start a gateway, let it take calls, and kill it at a random moment; return what was committed just before."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    async with gateway_on(port, settings) as gateway:
        if await until_ready(url) is None:
            raise SystemExit("error: the gateway did not start")
        shape = LoadShape(options.calls, 20, pause_s=0.5, pause_spread_s=0.4)
        calling = asyncio.create_task(run_calls(url, shape, utterances))
        await asyncio.sleep(random.uniform(options.shortest, options.longest))
        before = await asyncio.to_thread(committed, database)
        gateway.kill()
        await gateway.wait()
        await calling
    return before


async def all_replayed(settings: list[str], spill: Path) -> None:
    """Let one more gateway take in what was spilled, and end by itself."""
    port = free_port()
    async with gateway_on(port, settings) as gateway:
        if await until_ready(f"http://127.0.0.1:{port}") is None:
            raise SystemExit("error: the gateway did not start")
        until = time.monotonic() + REPLAY_S
        while any(spill.glob("*.spill")) and time.monotonic() < until:  # noqa: ASYNC110, ASYNC240 - another process
            await asyncio.sleep(0.1)
        gateway.terminate()
        await gateway.wait()


async def campaign(options: argparse.Namespace, utterances: list[Utterance], folder: Path) -> dict[str, Any]:
    """Kill as often as was asked; return what came of it."""
    database, spill = folder / "records.db", folder / "spill"
    settings = [
        *("llm.max_reply_tokens=12", "checkpoints.enabled=false", "audit.enabled=false", "governance.scoring=false"),
        *(f"governance.url=sqlite:///{database}", f"governance.spill_folder={spill}", *options.set),
    ]
    random = Random(options.seed)  # noqa: S311 - spreads instants, guards no secret
    seen: set[Event] = set()
    for number in range(options.times):
        before = await kill_once(settings, utterances, database, options, random)
        seen |= before
        say(f"{number + 1:3} killed with {len(before)} events of {len({call for call, _ in before})} calls committed")
    await all_replayed(settings, spill)
    kept = await asyncio.to_thread(committed, database)
    return {
        "kills": options.times,
        "calls": len({call for call, _ in kept}),
        "events_seen": len(seen),
        "events_kept": len(kept),
        "events_lost": len(seen - kept),
        "calls_with_gaps": gaps(kept),
        "still_spilled": sorted(path.name for path in spill.glob("*.spill")),
    }


def main() -> int:
    """Parse, kill, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--speech", type=Path, default=SPEECH)
    parser.add_argument("--calls", type=int, default=4)
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--shortest", type=float, default=3.0, help="least seconds of calls before a kill")
    parser.add_argument("--longest", type=float, default=12.0, help="most seconds of calls before a kill")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="profile setting")
    options = parser.parse_args()
    configure(json=False, level="warning")
    utterances = sorted(clean_utterances(options.speech), key=lambda utterance: utterance.samples.size)[:12]
    sys.stdout.write(f"{machine()}; set: {options.set}\n\n")
    with tempfile.TemporaryDirectory(prefix="voicectl-kills-") as folder:
        found = asyncio.run(campaign(options, utterances, Path(folder)))
    sys.stdout.write(json.dumps(found, indent=1) + "\n")
    return 1 if found["events_lost"] or found["calls_with_gaps"] or found["still_spilled"] else 0


if __name__ == "__main__":
    sys.exit(main())
