"""`voicectl talk`: a caller on the appliance's own wire, by microphone, WAV files or text."""

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from voicectl.cli.oneshot import checked_text
from voicectl.cli.options import JsonOption, ProfileOption, SetOption, chosen_profile
from voicectl.cli.output import Output, console, interactive
from voicectl.core.errors import UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from voicectl.bench.call_record import ServerEvent
    from voicectl.bench.caller import Caller
    from voicectl.bench.turns import TurnReport
    from voicectl.cli.microphone import Loudspeaker
    from voicectl.cli.talk_view import TalkView
    from voicectl.core.audio import Samples
    from voicectl.core.profile import Profile

LATE_MS: Final = 20.0
"""Frames that leave later than this spoil a measurement to the milliseconds."""
API_KEY_VARIABLE: Final = "VOICECTL_API_KEY"
"""Environment variable with the key for a running gateway; never an option, which others could read in `ps`."""

app = typer.Typer(add_completion=False)
_STARTED_AT: Final = time.monotonic()
"""When this module was loaded, which is the first thing the command does."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One scripted turn: sound with its sample rate, or text."""

    samples: "Samples | None" = None
    rate: int = 0
    text: str = ""


@dataclass(frozen=True, slots=True)
class Talk:
    """What the command line asks for."""

    server: str | None
    profile: str | None
    settings: tuple[str, ...]
    turns: tuple[Turn, ...]
    questions: tuple[str, ...]
    out: Path | None
    wait_s: float
    max_reply_tokens: int | None = None
    probe: bool = False

    @property
    def scripted(self) -> bool:
        """Whether the turns are known beforehand; otherwise a person speaks."""
        return bool(self.turns or self.questions)


@dataclass(frozen=True, slots=True)
class CallReport:
    """What came of a call: its turns, when the agent was first heard, and how late the latest frame left.

    `first_audio_s` counts from the start of the command and is None if the agent said nothing.
    """

    turns: "list[TurnReport]"
    first_audio_s: float | None
    late_ms: float


@app.command("talk", epilog="Example: voicectl talk --wav question.wav --out conversation.wav")
def talk_command(
    *,
    wav: Annotated[
        list[Path] | None, typer.Option("--wav", metavar="FILE", help="One turn, spoken in real time; repeatable.")
    ] = None,
    text: Annotated[list[str] | None, typer.Option("--text", help="One turn, sent as text; repeatable.")] = None,
    ask: Annotated[
        list[str] | None, typer.Option("--ask", metavar="TEXT", help="One turn, spoken in the appliance's own voice.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="WAV", help="Write the call: caller left, agent right.")
    ] = None,
    server: Annotated[
        str | None,
        typer.Option(
            "--server",
            metavar="URL",
            help="A running gateway, with the key in VOICECTL_API_KEY if it wants one; by default a private one.",
        ),
    ] = None,
    profile: ProfileOption = None,
    settings: SetOption = None,
    wait_s: Annotated[
        float, typer.Option("--wait", min=0.5, max=600, help="Seconds without any sign of an answer.")
    ] = 10.0,
    max_reply_tokens: Annotated[
        int | None, typer.Option("--max-reply-tokens", min=1, max=4096, help="Cut each reply after so many tokens.")
    ] = None,
    probe: Annotated[
        bool, typer.Option("--probe", help="A test: the gateway's figures and its gate leave this call out.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Talk with the appliance; without --wav, --text or --ask, by microphone and loudspeaker.

    Turns are taken in the order --wav, --text, --ask. Ctrl-C ends the call.
    """
    from voicectl.cli.audio_out import check_writable
    from voicectl.cli.microphone import check_devices

    if server is not None and (profile is not None or settings) and not ask:
        raise UsageError("--profile and --set choose a private gateway; --server is a running one")
    if out is not None:
        check_writable(out)
    # Whatever is wrong with the files, the profile or the devices is said before anything starts.
    turns = _scripted(wav or [], text or [])
    questions = tuple(map(checked_text, ask or ()))
    chosen = chosen_profile(profile, settings)
    if not turns and not questions:
        check_devices()
    talk = Talk(server, profile, tuple(settings or ()), turns, questions, out, wait_s, max_reply_tokens, probe)
    output = Output(json=json)
    call = asyncio.run(_call(talk, chosen, output))
    document: dict[str, Any] = {
        "turns": [report.document() for report in call.turns],
        "audio_out": str(out) if out is not None else None,
        "first_audio_s": call.first_audio_s,
        "late_ms": call.late_ms,
    }
    output.result(document, lambda console: _render(console, call.turns, out))


def _scripted(wavs: list[Path], texts: list[str]) -> tuple[Turn, ...]:
    return (*map(_from_file, wavs), *(Turn(text=checked_text(text)) for text in texts))


def _from_file(path: Path) -> Turn:
    from voicectl.media.audiofile import read_speech

    return Turn(*read_speech(path))


async def _call(talk: Talk, profile: "Profile", output: Output) -> "CallReport":
    """Make the call and report it; turns are printed as they end. The mix is written however the call ends."""
    from voicectl.bench.call_record import RATE_HZ
    from voicectl.bench.caller import Listener, connect
    from voicectl.cli.audio_out import write_wav
    from voicectl.cli.microphone import Loudspeaker
    from voicectl.cli.talk_view import TalkView

    people = sys.stderr if output.json else sys.stdout
    view = TalkView(console(people), live=interactive(people))
    loudspeaker = Loudspeaker()

    def on_event(event: "ServerEvent") -> None:
        view.event(event)
        loudspeaker.event(event)

    heard_at: list[float] = []

    def on_audio(samples: "Samples") -> None:
        if not heard_at:
            heard_at.append(time.monotonic() - _STARTED_AT)
        view.audio(samples)
        if not talk.scripted:
            loudspeaker.add(samples)

    def write_mix() -> None:
        if talk.out is not None:
            write_wav(talk.out, caller.mixdown(), RATE_HZ)

    reports: list[TurnReport] = []
    async with AsyncExitStack() as stack:
        url, turns = await _prepared(talk, profile, output, stack)
        # A private gateway on loopback wants no key, and must not be shown one that is meant for another.
        api_key = (os.environ.get(API_KEY_VARIABLE) or None) if talk.server is not None else None
        caller = await stack.enter_async_context(
            connect(
                url,
                probe=talk.probe,
                max_reply_tokens=talk.max_reply_tokens,
                listener=Listener(on_event, on_audio),
                api_key=api_key,
            )
        )
        stack.callback(write_mix)
        view.start()
        stack.callback(view.stop)
        async for report in _turns(talk, turns, caller, view, loudspeaker):
            reports.append(report)
            if not output.json:
                view.turn(report)
        for error in caller.record.errors:
            output.note(f"the gateway said: {error}")
        if caller.worst_late_ms > LATE_MS:
            output.note(
                f"this machine was busy: sound left up to {caller.worst_late_ms:.0f} ms late, the times are too long"
            )
    return CallReport(reports, round(heard_at[0], 3) if heard_at else None, round(caller.worst_late_ms, 1))


async def _prepared(
    talk: Talk, profile: "Profile", output: Output, stack: AsyncExitStack
) -> tuple[str, tuple[Turn, ...]]:
    """Return the gateway's URL and the turns; questions are synthesised while a private gateway starts."""
    from voicectl.cli.private_gateway import private_gateway
    from voicectl.cli.question import spoken_question

    gateway = None
    if talk.server is None:
        output.note(f"starting a private gateway with profile {profile.name} …")
        gateway = await stack.enter_async_context(private_gateway(talk.profile, talk.settings))
    asked = [Turn(*(await spoken_question(profile, question))) for question in talk.questions]
    url = talk.server or (await gateway.url() if gateway is not None else "")
    return url, (*talk.turns, *asked)


async def _turns(
    talk: Talk, turns: tuple[Turn, ...], caller: "Caller", view: "TalkView", loudspeaker: "Loudspeaker"
) -> "AsyncIterator[TurnReport]":
    from voicectl.cli.microphone import converse

    if not talk.scripted:
        async for report in converse(caller, loudspeaker, view.audio):
            yield report
    for turn in turns:
        if turn.samples is not None:
            yield await caller.speak(turn.samples, turn.rate, answer_timeout_s=talk.wait_s)
        else:
            yield await caller.write(turn.text, answer_timeout_s=talk.wait_s)


def _render(screen: "Console", reports: "list[TurnReport]", out: Path | None) -> None:
    from voicectl.cli.talk_view import print_latency

    print_latency(screen, reports)
    if out is not None:
        screen.print(f"conversation: {out}  (caller left, agent right)", markup=False)
