"""The whole gateway on an engine whose stages take known times and no processor. Run as a program.

What a gateway does beside the models is seen here without their noise: it answers real calls on real sockets,
decides turns by the real voice activity, and keeps records, checkpoints and the audit log as it always does.
Prints its base URL once it takes calls.

    python tests/fakes/timed_gateway.py --port 8080 --set governance.enabled=false
"""

import argparse
import asyncio
import sys
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.fakes.engine_ports import FakeLanguageModel, FakeSynthesizer, FakeTranscriber, FakeTurnDetector
from voicectl.core.config import load_profile
from voicectl.core.log import configure
from voicectl.core.ports import ChatRequest, Priority, SpeechChunk, TextDelta
from voicectl.core.profile import Profile
from voicectl.engine.engine import EngineOptions
from voicectl.engine.health import EngineHealth
from voicectl.service import app

TRANSCRIBED_S = 0.08
FIRST_TOKEN_S = 0.15
FIRST_SOUND_S = 0.06
HEARD = "how do I get my parcel back to you"
REPLY = "Please take it to any of our branches. They will send it back."


class TimedLanguageModel(FakeLanguageModel):
    """Takes a while to its first token; keeps no prompts, of which a run has thousands."""

    async def generate(self, request: ChatRequest, *, timeout_s: float) -> AsyncIterator[TextDelta]:
        await asyncio.sleep(FIRST_TOKEN_S)
        async for delta in super().generate(request, timeout_s=timeout_s):
            yield delta
        self.requests.clear()


class TimedSynthesizer(FakeSynthesizer):
    """Takes a while to its first sound."""

    async def synthesize(
        self, text: str, *, speed: float = 1.0, priority: Priority = Priority.FINAL, timeout_s: float
    ) -> AsyncIterator[SpeechChunk]:
        await asyncio.sleep(FIRST_SOUND_S)
        async for chunk in super().synthesize(text, speed=speed, priority=priority, timeout_s=timeout_s):
            yield chunk
        self.texts.clear()


@dataclass
class TimedEngine:
    """Stands where the engine stands."""

    profile: Profile
    roots: Mapping[str, Path]
    options: EngineOptions
    transcriber: FakeTranscriber = field(default_factory=lambda: FakeTranscriber([HEARD], TRANSCRIBED_S))
    turn_detector: FakeTurnDetector = field(default_factory=FakeTurnDetector)
    language_model: TimedLanguageModel = field(default_factory=lambda: TimedLanguageModel(REPLY))
    synthesizer: TimedSynthesizer = field(default_factory=TimedSynthesizer)

    @property
    def main_language_model(self) -> TimedLanguageModel:
        """Return the only one there is."""
        return self.language_model

    async def launch(self) -> None:
        """Nothing starts."""

    async def wait_ready(self) -> None:
        """It is ready."""

    async def close(self) -> None:
        """Nothing ends."""

    def states(self) -> dict[str, str]:
        """Return no worker."""
        return {}

    def health(self) -> EngineHealth:
        """Return that nothing is down."""
        return EngineHealth({}, {})

    def prefer_fallbacks(self, wanted: bool) -> None:
        """There are none."""


def main() -> None:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="profile setting")
    options = parser.parse_args()
    configure(json=False, level="warning")
    app.Engine = TimedEngine  # type: ignore[misc,assignment] # the same methods, without models
    profile = load_profile("cpu", overrides=[f"server.port={options.port}", *options.set])

    def ready(url: str) -> None:
        sys.stdout.write(url + "\n")
        sys.stdout.flush()

    asyncio.run(app.serve_forever(profile, on_ready=ready))


if __name__ == "__main__":
    main()
