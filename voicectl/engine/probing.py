"""Try stages that were left alone with a tiny request of our own, so that no caller has to."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import structlog

from voicectl.core.clock import Clock
from voicectl.core.errors import EngineError
from voicectl.core.ports import ChatRequest, LanguageModel, Message, Synthesizer, Transcriber, TurnDetector
from voicectl.engine.routes import Route

PROBE_INTERVAL_S: Final = 0.1
PROBE_TIMEOUT_S: Final = 5.0
PROBE_SESSION: Final = "voicectl-probe"
_SILENCE: Final = np.zeros(8_000, np.float32)

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Probe:
    """A route, and the request that tells whether it works again."""

    route: Route[Any]
    send: Callable[[], Awaitable[None]]


class Prober:
    """Watches breakers; `run` is a task that ends with the engine."""

    def __init__(self, probes: list[Probe], clock: Clock) -> None:
        self._probes = probes
        self._clock = clock

    async def run(self) -> None:
        """Probe each route whose breaker is half open, as soon as its worker is ready."""
        async with asyncio.TaskGroup() as group:
            for probe in self._probes:
                group.create_task(self._keep_probing(probe), name=f"probe {probe.route.worker}")

    async def _keep_probing(self, probe: Probe) -> None:
        while True:
            await asyncio.sleep(PROBE_INTERVAL_S)
            if probe.route.breaker.state(self._clock.now()) == "half_open" and probe.route.is_ready():
                await self._probe(probe)

    async def _probe(self, probe: Probe) -> None:
        breaker, worker = probe.route.breaker, probe.route.worker
        permit = breaker.ask(self._clock.now())
        if permit is None:
            # A caller's request is the probe.
            return
        try:
            async with asyncio.timeout(PROBE_TIMEOUT_S):
                await probe.send()
        except (EngineError, TimeoutError) as error:
            breaker.failed(permit, self._clock.now())
            log.warning("probe_failed", worker=worker, reason=str(error), wait_s=breaker.wait_s())
        except asyncio.CancelledError:
            breaker.abandoned(permit)
            raise
        else:
            breaker.succeeded(permit, self._clock.now())
            log.info("stage_recovered", worker=worker)


async def probe_transcriber(port: Transcriber) -> None:
    """Transcribe half a second of silence."""
    await port.transcribe(_SILENCE, timeout_s=PROBE_TIMEOUT_S)


async def probe_turn_detector(port: TurnDetector) -> None:
    """Score half a second of silence."""
    await port.completeness(_SILENCE, timeout_s=PROBE_TIMEOUT_S)


async def probe_language_model(port: LanguageModel) -> None:
    """Generate one token."""
    request = ChatRequest(
        PROBE_SESSION, (Message("user", "Hi."),), max_tokens=1, temperature=0.0, top_p=1.0, top_k=1, seed=0
    )
    async with aclosing(port.generate(request, timeout_s=PROBE_TIMEOUT_S)) as pieces:
        async for _ in pieces:
            continue
    await port.forget(PROBE_SESSION)


async def probe_synthesizer(port: Synthesizer) -> None:
    """Speak one word."""
    async with aclosing(port.synthesize("Yes.", timeout_s=PROBE_TIMEOUT_S)) as chunks:
        async for _ in chunks:
            continue
