"""Speak over the agent and find out when it falls silent, or that it goes on. Measures no process."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from random import Random
from typing import Any, Final

import numpy as np

from voicectl.bench.call_record import RATE_HZ, ServerEvent
from voicectl.bench.caller import Caller, Listener, connect
from voicectl.bench.load import Utterance
from voicectl.bench.waveform import AUDIBLE, audible_span
from voicectl.core.audio import Samples

WAIT_S: Final = 15.0
"""How long to wait for the agent to begin, or to end."""
EARLIEST_S: Final = 0.6
LATEST_S: Final = 1.4
"""When, after the first sound of a reply, the caller speaks over it."""
AFTERMATH_S: Final = 1.5
"""An agent that goes on for so long after the caller's last sound was not interrupted."""


@dataclass(frozen=True, slots=True)
class Frame:
    """A piece of the agent's voice as it arrived. `audible` is whether it holds sound."""

    response_id: str
    arrived_at: float
    audible: bool


@dataclass(frozen=True, slots=True)
class Interjection:
    """One attempt. Seconds from the first voiced sample of the caller's speech; None where it did not happen.

    `silent_s` is the arrival of the last audible frame of the reply (0 if the agent happened to pause),
    `last_frame_s` that of its last frame, `ended_s` that of its end. `outcome` is "stopped", "went on", or
    "over" where the reply came to its own end too soon to tell.
    """

    utterance: str
    outcome: str
    silent_s: float | None
    last_frame_s: float | None
    ended_s: float | None
    pause_s: float
    """Longest pause between two frames of the reply from the onset on: the price of doubt when it went on."""


class Ear:
    """Notes what arrives of each reply, before anything that was cancelled is forgotten."""

    def __init__(self) -> None:
        self.frames: list[Frame] = []
        self.ended: dict[str, tuple[str, float]] = {}
        self._response_id = ""
        self._told = asyncio.Event()

    def listener(self) -> Listener:
        """Return what a caller must tell."""
        return Listener(self._event, self._audio)

    def has_ended(self, response_id: str) -> bool:
        """Return whether a reply is over."""
        return response_id in self.ended

    async def until(self, condition: Callable[[], bool], within_s: float) -> bool:
        """Return whether `condition`, looked at after every event, came true in time."""
        try:
            async with asyncio.timeout(within_s):
                while not condition():
                    self._told.clear()
                    await self._told.wait()
        except TimeoutError:
            return False
        return True

    def _event(self, event: ServerEvent) -> None:
        self._told.set()
        match event.get("type"):
            case "response.output_audio.delta":
                self._response_id = str(event.get("response_id"))
            case "response.done":
                response: Any = event.get("response") or {}
                self.ended[str(response.get("id"))] = (str(response.get("status")), time.monotonic())

    def _audio(self, samples: Samples) -> None:
        audible = bool(np.abs(samples).max(initial=0.0) > AUDIBLE)
        self.frames.append(Frame(self._response_id, time.monotonic(), audible))
        self._told.set()

    def speaking(self) -> tuple[str, float] | None:
        """Return the reply that sounds and its first audible frame's arrival; None while there is none."""
        for frame in self.frames:
            if frame.audible and frame.response_id not in self.ended:
                return frame.response_id, frame.arrived_at
        return None


async def interject(
    url: str, question: str, utterances: Sequence[Utterance], *, seed: int = 0, instructions: str | None = None
) -> list[Interjection]:
    """Hold one call: speak each utterance over a reply of its own. Raises GatewayUnreachable."""
    random, ear, found = Random(seed), Ear(), []  # noqa: S311 - spreads instants, guards no secret
    async with connect(url, instructions=instructions, listener=ear.listener()) as caller:
        for utterance in utterances:
            reply = await _reply_to(caller, ear, question)
            if reply is None:
                continue
            response_id, first_at = reply
            await asyncio.sleep(max(0.0, first_at + random.uniform(EARLIEST_S, LATEST_S) - time.monotonic()))
            spoken = await caller.say(utterance.samples, RATE_HZ)
            span = audible_span(utterance.samples, RATE_HZ)
            if span is None:
                continue
            over_at = spoken.began_at + span.last_s + AFTERMATH_S
            await ear.until(partial(ear.has_ended, response_id), over_at - time.monotonic())
            found.append(judged(utterance.name, response_id, spoken.began_at + span.first_s, ear))
            await _quiet(caller, ear, response_id, spoken.began_at + utterance.samples.size / RATE_HZ)
    return found


def judged(utterance: str, response_id: str, onset_at: float, ear: Ear) -> Interjection:
    """Say what became of a reply that was spoken over from `onset_at` on. Pure."""
    frames = [frame for frame in ear.frames if frame.response_id == response_id]
    status, ended_at = ear.ended.get(response_id, (None, None))
    outcome = {None: "went on", "cancelled": "stopped"}.get(status, "over")
    after = [max(onset_at, frame.arrived_at) for frame in frames]
    audible = [frame.arrived_at for frame in frames if frame.audible]
    return Interjection(
        utterance,
        outcome,
        silent_s=max(0.0, max(audible) - onset_at) if audible and outcome == "stopped" else None,
        last_frame_s=max(after) - onset_at if after and outcome == "stopped" else None,
        ended_s=None if ended_at is None else ended_at - onset_at,
        pause_s=max((later - earlier for earlier, later in pairwise(after)), default=0.0),
    )


async def _reply_to(caller: Caller, ear: Ear, question: str) -> tuple[str, float] | None:
    """Ask in writing and wait until the answer sounds."""
    await caller.ask(question)
    await ear.until(lambda: ear.speaking() is not None, WAIT_S)
    return ear.speaking()


async def _quiet(caller: Caller, ear: Ear, response_id: str, said_at: float) -> None:
    """Wait until nobody speaks; whatever the agent still says is cut short."""
    await asyncio.sleep(max(0.0, said_at - time.monotonic()))
    try:
        async with asyncio.timeout(WAIT_S):
            if response_id not in ear.ended:
                await caller.cancel()
            # The words that interrupted are a turn, which gets its own answer.
            await asyncio.sleep(1.0)
            while (caller.record.active is not None) or caller.record.speaking:
                await caller.cancel()
                await asyncio.sleep(0.3)
    except TimeoutError:
        return
