"""The agent's voice in one call: a playout a reply, and what of each reply was heard."""

from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, Final

from voicectl.agent import inputs as told
from voicectl.core import events as ev
from voicectl.core.audio import duration_s
from voicectl.core.clock import Clock
from voicectl.core.ports import SpeechChunk
from voicectl.media.playout import HeardMap, Playout

OUTPUT_HZ: Final = 24_000
"""Rate of reply audio inside the gateway; a transport converts it to its own."""
REMEMBERED_REPLIES: Final = 16
"""Replies whose words can still be looked up by time; clients truncate the latest."""

Post = Callable[[told.PlayoutBegan | told.ClauseSounding | told.PlayoutDrained], Awaitable[None]]
Send = Callable[[ev.ReplyAudio], Awaitable[None]]


@dataclass(slots=True)
class _Spoken:
    """One reply's audio and words. `clause_offset_s` is where the clause being queued begins.

    `to_sound` are clauses whose sound was not sent yet, with the seconds at which they begin.
    """

    playout: Playout
    words: HeardMap = field(default_factory=HeardMap)
    clause: int = -1
    clause_offset_s: float = 0.0
    to_sound: deque[tuple[int, float]] = field(default_factory=deque)
    sent_s: float = 0.0
    item_id: str | None = None
    sending: bool = False


class Voice:
    """Queues, releases and silences replies. Used from the call's own task and its helpers only."""

    def __init__(
        self,
        lead_ms: int,
        clock: Clock,
        send: Send,
        post: Post,
        spawn: Callable[[Coroutine[Any, Any, None]], object],
        *,
        on_sent: Callable[[float], None] | None = None,
    ) -> None:
        """`on_sent` is told how late each frame was sent, in seconds."""
        self._lead_ms = lead_ms
        self._clock = clock
        self._send = send
        self._post = post
        self._spawn = spawn
        self._on_sent = on_sent
        self._spoken: dict[str, _Spoken] = {}
        self._words: OrderedDict[str, HeardMap] = OrderedDict()

    async def play(self, response_id: str, clause: int, text: str, chunk: SpeechChunk) -> None:
        """Queue a piece of a clause. Waits while far more is queued than is played."""
        spoken = self._of(response_id)
        if clause != spoken.clause:
            spoken.clause = clause
            spoken.clause_offset_s = spoken.playout.audio_s
            spoken.to_sound.append((clause, spoken.clause_offset_s))
        spoken.words.add(text, chunk.marks, spoken.clause_offset_s, duration_s(chunk.pcm, chunk.sample_rate))
        await spoken.playout.play(chunk.pcm, chunk.sample_rate)

    def release(self, response_id: str, item_id: str) -> None:
        """Let a reply be heard from now on; its audio becomes the entry `item_id`."""
        spoken = self._of(response_id)
        spoken.item_id = item_id
        self._words[item_id] = spoken.words
        while len(self._words) > REMEMBERED_REPLIES:
            self._words.popitem(last=False)
        spoken.playout.release()

    async def finish(self, response_id: str) -> None:
        """Tell the session when all of a reply was played."""
        spoken = self._of(response_id)
        spoken.playout.finish()
        await spoken.playout.drained()
        if self._spoken.get(response_id) is spoken:
            await self._post(told.PlayoutDrained(response_id))

    def hold(self, response_id: str) -> None:
        """Send no more of a reply for now."""
        spoken = self._spoken.get(response_id)
        if spoken is not None:
            spoken.playout.hold()

    def resume(self, response_id: str) -> None:
        """Go on with a reply where it was held."""
        spoken = self._spoken.get(response_id)
        if spoken is not None:
            spoken.playout.resume()

    def stop(self, response_id: str) -> tuple[str, float]:
        """Silence a reply; return the words and the seconds of it that were heard."""
        spoken = self._spoken.get(response_id)
        if spoken is None:
            return "", 0.0
        heard_s = spoken.playout.stop()
        return spoken.words.heard(heard_s), heard_s

    def drop(self, response_id: str) -> None:
        """Forget a reply's audio, played or not."""
        spoken = self._spoken.pop(response_id, None)
        if spoken is not None:
            spoken.playout.stop()

    def heard_text(self, item_id: str, heard_s: float) -> str:
        """Return the words in the first so many seconds of an entry; empty for one not remembered."""
        words = self._words.get(item_id)
        return "" if words is None else words.heard(heard_s)

    def close(self) -> None:
        """Silence everything."""
        for response_id in list(self._spoken):
            self.drop(response_id)

    def _of(self, response_id: str) -> _Spoken:
        spoken = self._spoken.get(response_id)
        if spoken is None:

            async def send(pcm: bytes) -> None:
                await self._send_frame(response_id, pcm)

            playout = Playout(
                send, output_rate=OUTPUT_HZ, lead_ms=self._lead_ms, clock=self._clock, on_sent=self._on_sent
            )
            spoken = self._spoken[response_id] = _Spoken(playout)
            self._spawn(playout.run())
        return spoken

    async def _send_frame(self, response_id: str, pcm: bytes) -> None:
        spoken = self._spoken.get(response_id)
        if spoken is None or spoken.item_id is None:
            return
        if not spoken.sending:
            spoken.sending = True
            await self._post(told.PlayoutBegan(response_id))
        spoken.sent_s += duration_s(pcm, OUTPUT_HZ)
        while spoken.to_sound and spoken.to_sound[0][1] < spoken.sent_s:
            await self._post(told.ClauseSounding(response_id, spoken.to_sound.popleft()[0]))
        await self._send(ev.ReplyAudio(response_id, spoken.item_id, pcm, OUTPUT_HZ))
