"""Calls to a guest's service, over the network and from outside the guest."""

import asyncio
import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.conftest import REPOSITORY
from tests.hosts.machine import Machine
from tests.hosts.operator import PORT
from voicectl.bench.call_record import ServerEvent
from voicectl.bench.caller import GatewayUnreachable, Listener, connect
from voicectl.media.audiofile import read_speech

CALL_TIMEOUT_S: Final = 60.0
MAX_REPLY_TOKENS: Final = 24
"""Nobody waits for the rest of a long answer, which is spoken in real time."""
RECONNECT_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Answered:
    """What came of one spoken question."""

    heard: str
    reply: str
    v2v_ms: float | None


def ask(machine: Machine, question: Path, api_key: str | None) -> Answered:
    """Put one spoken question to the guest with `voicectl talk`. Raises AssertionError when the call fails."""
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    environment.pop("VOICECTL_API_KEY", None)
    if api_key is not None:
        environment["VOICECTL_API_KEY"] = api_key
    server = f"ws://{machine.address}:{PORT}"
    words = ["--server", server, "--wav", str(question), "--max-reply-tokens", str(MAX_REPLY_TOKENS), "--json"]
    done = subprocess.run(
        [sys.executable, "-m", "voicectl", "talk", *words],
        capture_output=True, text=True, env=environment, timeout=CALL_TIMEOUT_S, check=False,
    )  # fmt: skip
    if done.returncode:
        raise AssertionError(f"the call failed: exit {done.returncode}: {done.stdout} {done.stderr}")
    turn = json.loads(done.stdout)["turns"][0]
    return Answered(turn["heard"], turn["reply"], turn["v2v_ms"])


@dataclass(slots=True)
class LiveCall:
    """One conversation that goes on until it is told to stop, over as many connections as that takes."""

    machine: Machine
    question: Path
    api_key: str | None
    answered: list[str] = field(default_factory=list)
    unanswered: int = 0
    resumed: int = 0
    lost: int = 0
    session: str | None = None
    _stop: asyncio.Event = field(default_factory=asyncio.Event)

    def stop(self) -> None:
        """End the call after the turn in progress."""
        self._stop.set()

    async def hold(self) -> None:
        """Ask again and again; when the connection ends, come back and take the conversation up again."""
        while not self._stop.is_set():
            try:
                await self._connection()
            except GatewayUnreachable:
                if self._stop.is_set():
                    return
                await asyncio.sleep(0.5)

    async def _connection(self) -> None:
        samples, rate = read_speech(self.question)
        resuming = f"?voicectl_session={self.session}" if self.session else ""
        url = f"ws://{self.machine.address}:{PORT}{resuming}"
        connected = False
        try:
            async with connect(url, listener=Listener(on_event=self._note), api_key=self.api_key) as caller:
                connected = True
                self.resumed += bool(resuming)
                while not self._stop.is_set():
                    report = await caller.speak(samples, rate)
                    if report.first_audible_at is None:
                        self.unanswered += 1
                    else:
                        self.answered.append(report.reply)
        except GatewayUnreachable:
            self.lost += connected
            raise

    def _note(self, event: ServerEvent) -> None:
        if event.get("type") == "session.created":
            session = event.get("session")
            if isinstance(session, dict):
                self.session = str(session["id"])
