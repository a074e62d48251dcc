"""Measure refusal: from the first byte of an upgrade request to the whole 503, while every place is taken by a call.

Times are split into the TCP connect and the answer. The calls speak recordings meanwhile, so that
the gateway and its workers are as busy as they will be when somebody is refused.
"""

import argparse
import asyncio
import json
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from speech_clips import SPEECH, clean_utterances, machine

from voicectl.bench.load import LoadShape, run_calls
from voicectl.bench.load_report import quantiles, shown
from voicectl.cli.private_gateway import private_gateway
from voicectl.core.log import configure

TIMEOUT_S = 10.0
KEY = "dGhlIHNhbXBsZSBub25jZQ=="
MAX_ANSWER_BYTES = 65_536


@dataclass(frozen=True, slots=True)
class Refusal:
    """One attempt: seconds to connect and from the request to the end of the answer, and what the answer was."""

    connect_s: float
    answer_s: float
    status: int
    retry_after: str | None


async def attempt(host: str, port: int) -> Refusal:
    """Ask for a session and read the answer to its end."""
    request = (
        f"GET /v1/realtime?model=voicectl HTTP/1.1\r\nHost: {host}:{port}\r\nUpgrade: websocket\r\n"
        f"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n\r\n"
    )
    async with asyncio.timeout(TIMEOUT_S):
        began_at = time.perf_counter()
        reader, writer = await asyncio.open_connection(host, port)
        try:
            connected_at = time.perf_counter()
            writer.write(request.encode())
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            headers = {
                name.strip().lower(): value.strip()
                for name, _, value in (line.partition(":") for line in head.split("\r\n")[1:])
            }
            if headers.get("content-length"):
                await reader.readexactly(min(MAX_ANSWER_BYTES, int(headers["content-length"])))
            answered_at = time.perf_counter()
        finally:
            writer.close()
    status = int(head.split(" ", 2)[1])
    return Refusal(connected_at - began_at, answered_at - connected_at, status, headers.get("retry-after"))


async def measure(options: argparse.Namespace) -> list[Refusal]:
    """Fill the gateway with calls and ask for one more, again and again."""
    utterances = clean_utterances(options.speech)
    shape = LoadShape(
        options.calls, num_turns=1000, stagger_s=0.2, pause_s=2.0, api_key=os.environ.get("VOICECTL_API_KEY")
    )
    settings = (f"server.max_sessions={options.calls}", "llm.max_reply_tokens=25", *options.set)
    refusals = []
    async with private_gateway("cpu", settings) as gateway, asyncio.TaskGroup() as group:
        url = await gateway.url()
        calls = group.create_task(run_calls(url, shape, utterances))
        await asyncio.sleep(options.calls * shape.stagger_s + 6.0)
        parts = urlsplit(url)
        for _ in range(options.tries):
            refusals.append(await attempt(parts.hostname or "127.0.0.1", parts.port or 80))
            await asyncio.sleep(0.1)
        calls.cancel()
    return refusals


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--speech", type=Path, default=SPEECH)
    parser.add_argument("--calls", type=int, default=8)
    parser.add_argument("--tries", type=int, default=100)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="profile setting")
    parser.add_argument("--json", type=Path, help="also write all tries here")
    options = parser.parse_args()
    configure(json=False, level="warning")
    refusals = asyncio.run(measure(options))
    statuses = sorted({refusal.status for refusal in refusals})
    whole = quantiles([1000 * (refusal.connect_s + refusal.answer_s) for refusal in refusals])
    answer = quantiles([1000 * refusal.answer_s for refusal in refusals])
    sys.stdout.write(
        f"{machine()}; {options.calls} live calls\n\n| what | measured |\n|---|---|\n"
        f"| connect to end of the answer | {shown(whole)} |\n| request to end of the answer | {shown(answer)} |\n"
        f"| status | {statuses}, Retry-After {sorted({str(refusal.retry_after) for refusal in refusals})} |\n"
    )
    if options.json:
        options.json.write_text(json.dumps([[r.connect_s, r.answer_s, r.status] for r in refusals]))


if __name__ == "__main__":
    main()
