"""Kill each worker again and again under live calls, and the gateway once: who lost a call, and who waited how long.

Workers are killed with SIGKILL at random moments, the next one only after the last is back. A call
is lost when its connection ends. With --gateway the gateway itself is killed after some turns,
started again, and the caller comes back with its session id: its earlier entries must still be there.
"""

import argparse
import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import asdict
from pathlib import Path
from random import Random
from typing import Any
from urllib.request import urlopen

from speech_clips import SPEECH, clean_utterances, machine

from voicectl.bench.call_record import RATE_HZ
from voicectl.bench.caller import Caller, connect
from voicectl.bench.faults import Impact, Kill, impacts
from voicectl.bench.load import CallOutcome, LoadShape, Utterance, lost, refused, run_calls
from voicectl.bench.load_report import quantiles, shown
from voicectl.bench.usage import busiest, family
from voicectl.cli.private_gateway import private_gateway
from voicectl.core.errors import VoicectlError
from voicectl.core.log import configure

WORKERS = ("stt", "turn", "llm", "tts")
BACK_TIMEOUT_S = 60.0
READY_POLL_S = 0.05


def say(text: str) -> None:
    """Tell people how far it is."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def is_ready(url: str) -> bool:
    """Ask the gateway whether every stage is ready."""
    try:
        with urlopen(f"{url}/readyz", timeout=2) as answer:  # noqa: S310 - our own gateway on loopback
            return bool(json.load(answer)["ready"])
    except (OSError, ValueError):
        return False


async def until_ready(url: str) -> float | None:
    """Return when the gateway was ready, None if it was not in time."""
    try:
        async with asyncio.timeout(BACK_TIMEOUT_S):
            while not await asyncio.to_thread(is_ready, url):  # noqa: ASYNC110 - another process, which tells nobody
                await asyncio.sleep(READY_POLL_S)
    except TimeoutError:
        return None
    return time.monotonic()


async def kill_workers(url: str, options: argparse.Namespace) -> list[Kill]:
    """Kill the workers in turn, each `options.times` times."""
    random, kills = Random(options.seed), []  # noqa: S311 - spreads instants, guards no secret
    for number in range(options.times * len(options.workers)):
        await asyncio.sleep(random.uniform(options.shortest, options.longest))
        stage = options.workers[number % len(options.workers)]
        worker = busiest((await asyncio.to_thread(family, os.getpid())).values(), stage)
        if worker is None:
            say(f"{stage}: no process to kill")
            continue
        os.kill(worker.pid, signal.SIGKILL)
        at = time.monotonic()
        # A moment, so that the gateway has noticed.
        await asyncio.sleep(2 * READY_POLL_S)
        ready_at = await until_ready(url)
        kills.append(Kill(stage, worker.pid, at, ready_at))
        say(f"{number + 1:3} {stage:4} back after {'-' if ready_at is None else f'{ready_at - at:.2f}'} s")
    return kills


async def one_line(
    url: str, shape: LoadShape, utterances: list[Utterance], number: int, stopping: asyncio.Event
) -> CallOutcome:
    """Call again and again, so that a call is live and none grows for ever; return all of them as one.

    Each line begins elsewhere in the list of utterances. A call that fails is the last.
    """
    start = number % len(utterances)
    own = [*utterances[start:], *utterances[:start]]
    whole = CallOutcome(number)
    await asyncio.sleep(number * shape.stagger_s)
    while not stopping.is_set() and whole.failure is None:
        for outcome in await run_calls(url, shape, own, stopping=stopping):
            whole.connected, whole.failure = outcome.connected, outcome.failure
            whole.turns += outcome.turns
            whole.errors += outcome.errors
    return whole


async def fault_workers(options: argparse.Namespace, utterances: list[Utterance]) -> dict[str, Any]:
    """Kill workers under live calls and return what came of it."""
    settings = (f"server.max_sessions={options.calls}", "llm.max_reply_tokens=25", *options.set)
    shape = LoadShape(1, options.turns, pause_s=options.pause, pause_spread_s=options.spread, unanswered_s=10.0)
    async with private_gateway("cpu", settings) as gateway:
        url = await gateway.url()
        stopping = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            lines = [
                group.create_task(one_line(url, shape, utterances, number, stopping)) for number in range(options.calls)
            ]
            await asyncio.sleep(options.calls * shape.stagger_s + 3.0)
            kills = await kill_workers(url, options)
            # The last kill needs a next turn as well.
            await asyncio.sleep(12.0)
            stopping.set()
        outcomes = [line.result() for line in lines]
    found = impacts(kills, outcomes)
    for line in worker_lines(kills, found, options.workers):
        sys.stdout.write(line + "\n")
    sys.stdout.write(f"\n{options.calls} calls: {refused(outcomes)} refused, {lost(outcomes)} lost\n")
    failures = [f"call {outcome.call}: {outcome.failure}" for outcome in outcomes if outcome.failure]
    sys.stdout.writelines(f"- {failure}\n" for failure in failures)
    errors = [error for outcome in outcomes for error in outcome.errors]
    return {
        "kills": [asdict(kill) for kill in kills],
        "impacts": [asdict(impact) for impact in found],
        "lost": lost(outcomes),
        "failures": failures,
        "errors": errors,
    }


def worker_lines(kills: list[Kill], found: list[Impact], workers: tuple[str, ...]) -> Iterator[str]:
    """Yield the table of killed workers."""
    yield "| worker | kills | back after | wait for the next answer, all calls | unanswered turns | never answered |"
    yield "|---|---|---|---|---|---|"
    for worker in workers:
        mine = [impact for impact in found if impact.kill.name == worker]
        back = quantiles([1000 * (kill.ready_at - kill.at) for kill in kills if kill.name == worker and kill.ready_at])
        waited = quantiles([1000 * impact.waited_s for impact in mine if impact.waited_s is not None])
        never = sum(impact.waited_s is None for impact in mine)
        count = sum(kill.name == worker for kill in kills)
        unanswered = sum(impact.unanswered for impact in mine)
        yield f"| {worker} | {count} | {shown(back)} | {shown(waited)} | {unanswered} | {never} |"


# --- the gateway itself --------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def gateway_on(port: int, settings: list[str]) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a gateway on a port of loopback; it is killed at the end of the block if it still runs."""
    options = [part for text in settings for part in ("--set", text)]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "voicectl", "serve", "--json", "--log-level", "warning"),
        *("--host", "127.0.0.1", "--port", str(port), *options),
        stdout=asyncio.subprocess.DEVNULL,
        stdin=asyncio.subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def free_port() -> int:
    """Return a port that nobody listens on at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def retrieved(caller: Caller, item_ids: list[str]) -> int:
    """Return how many of the entries the gateway still knows."""
    for item_id in item_ids:
        await caller.retrieve(item_id)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(5):
            while not set(item_ids) <= set(caller.record.retrieved):  # noqa: ASYNC110 - one wait, bounded
                await asyncio.sleep(0.02)
    return sum(item_id in caller.record.retrieved for item_id in item_ids)


@contextlib.asynccontextmanager
async def back_again(url: str, session_id: str | None) -> AsyncIterator[Caller]:
    """Come back as a client does that lost its connection: try again and again until it is let in."""
    async with asyncio.timeout(BACK_TIMEOUT_S) as patience, contextlib.AsyncExitStack() as stack:
        while True:
            try:
                again = connect(f"{url}/v1/realtime?voicectl_session={session_id}")
                caller = await stack.enter_async_context(again)
                break
            except VoicectlError:
                await asyncio.sleep(READY_POLL_S)
        patience.reschedule(None)
        yield caller


async def kill_gateway(options: argparse.Namespace, utterances: list[Utterance]) -> dict[str, Any]:
    """Kill the gateway under a call, start it again, come back, and go on talking. Seconds count from the start."""
    port, settings = free_port(), ["llm.max_reply_tokens=25", *options.set]
    url = f"http://127.0.0.1:{port}"
    async with gateway_on(port, settings) as first:
        if await until_ready(url) is None:
            raise SystemExit("error: the gateway did not start")
        with contextlib.suppress(Exception):  # the call is lost on purpose
            async with connect(url) as caller:
                for utterance in utterances[: options.turns]:
                    await caller.speak(utterance.samples, RATE_HZ, answer_timeout_s=20)
                record = caller.record
                first.kill()
                await first.wait()
    restarted_at = time.monotonic()
    async with gateway_on(port, settings), back_again(url, record.session_id) as again:
        connected_at = time.monotonic()
        known = await retrieved(again, record.item_ids)
        known_at = time.monotonic()
        report = await again.speak(utterances[0].samples, RATE_HZ, answer_timeout_s=20)
        tokens = again.record.input_tokens
    return {
        "reconnected_s": connected_at - restarted_at,
        "context_known_s": known_at - restarted_at,
        "words_ended_s": None if report.last_voiced_at is None else report.last_voiced_at - restarted_at,
        "answered_s": None if report.first_audible_at is None else report.first_audible_at - restarted_at,
        "v2v_of_next_turn_s": None if report.v2v_ms is None else report.v2v_ms / 1000,
        "entries_before": len(record.item_ids),
        "entries_known_again": known,
        "prompt_tokens_before": record.input_tokens,
        "prompt_tokens_after": tokens,
    }


async def fault_gateway(options: argparse.Namespace, utterances: list[Utterance]) -> dict[str, Any]:
    """Kill the gateway as often as was asked; print and return what came of each time."""
    results = []
    for number in range(options.times):
        results.append(await kill_gateway(options, utterances))
        say(f"{number + 1:3} {results[-1]}")
    names = list(results[0])
    sys.stdout.write("| what | each time |\n|---|---|\n")
    for name in names:
        told = [f"{value:.2f}" if isinstance(value := result[name], float) else f"{value}" for result in results]
        sys.stdout.write(f"| {name} | {', '.join(told)} |\n")
    return {"kills": results}


def main() -> None:
    """Parse, kill, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--speech", type=Path, default=SPEECH)
    parser.add_argument("--calls", type=int, default=8)
    parser.add_argument("--times", type=int, default=20, help="kills of each worker, or of the gateway")
    parser.add_argument("--workers", nargs="+", choices=WORKERS, default=WORKERS)
    parser.add_argument("--pause", type=float, default=6.0, help="seconds from the end of a reply to the next words")
    parser.add_argument("--spread", type=float, default=2.0, help="seconds by which a pause may differ from that")
    parser.add_argument("--shortest", type=float, default=6.0, help="least seconds between two kills")
    parser.add_argument("--longest", type=float, default=10.0, help="most seconds between two kills")
    parser.add_argument("--gateway", action="store_true", help="kill the gateway instead of workers")
    parser.add_argument("--turns", type=int, default=6, help="turns of a call, after which the next begins")
    parser.add_argument("--seed", type=int, default=3)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="profile setting")
    parser.add_argument("--json", type=Path, help="also write all figures here")
    options = parser.parse_args()
    configure(json=False, level="warning")
    utterances = sorted(clean_utterances(options.speech), key=lambda utterance: utterance.samples.size)
    sys.stdout.write(f"{machine()}; set: {options.set}\n\n")
    fault = fault_gateway if options.gateway else fault_workers
    document = asyncio.run(fault(options, utterances))
    if options.json:
        options.json.write_text(json.dumps(document, indent=1))


if __name__ == "__main__":
    main()
