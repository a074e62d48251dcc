"""`voicectl say` and `voicectl transcribe`: one model, one job, no gateway."""

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from voicectl.cli.options import JsonOption, ProfileOption, SetOption, chosen_profile
from voicectl.cli.output import Output
from voicectl.core.errors import UsageError

if TYPE_CHECKING:
    from voicectl.core.audio import Samples
    from voicectl.core.ports import Transcript
    from voicectl.core.profile import Profile

STDOUT: Final = "-"
MAX_TEXT_CHARACTERS: Final = 10_000
PIECE_S: Final = 28.0
"""Longest audio that one transcription takes; Whisper reads 30 s at most."""

say_app = typer.Typer(add_completion=False)
transcribe_app = typer.Typer(add_completion=False)


@say_app.command("say", epilog='Example: voicectl say "Your parcel is on its way." --out parcel.wav')
def say_command(
    text: Annotated[str, typer.Argument(metavar="TEXT", help="What to say.")],
    *,
    out: Annotated[str | None, typer.Option("--out", "-o", metavar="WAV", help="Write a file; - is stdout.")] = None,
    profile: ProfileOption = None,
    settings: SetOption = None,
    json: JsonOption = False,
) -> None:
    """Speak a text with the profile's voice, on the loudspeaker or into a WAV file."""
    from voicectl.cli.audio_out import check_writable, play, wav_bytes, write_wav

    if out == STDOUT and json:
        raise UsageError("--out - and --json both want stdout", hint="write the WAV to a file")
    spoken = checked_text(text)
    if out not in {None, STDOUT}:
        check_writable(Path(str(out)))
    samples, rate = asyncio.run(synthesize(chosen_profile(profile, settings), spoken))
    if out is None:
        play(samples, rate)
    elif out == STDOUT:
        sys.stdout.buffer.write(wav_bytes(samples, rate))
        return
    else:
        write_wav(Path(out), samples, rate)
    seconds = samples.size / rate
    document = {"text": spoken, "duration_s": round(seconds, 3), "sample_rate": rate, "audio_out": out}
    Output(json=json).result(document, lambda console: console.print(f"{seconds:.1f} s → {out or 'loudspeaker'}"))


@transcribe_app.command("transcribe", epilog="Example: voicectl transcribe call.wav")
def transcribe_command(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="WAV, FLAC, Ogg or MP3; any rate, mono or stereo.")],
    *,
    profile: ProfileOption = None,
    settings: SetOption = None,
    json: JsonOption = False,
) -> None:
    """Print the words of an audio file."""
    from voicectl.media.audiofile import read_speech

    samples, rate = read_speech(file)
    transcripts = asyncio.run(_transcribe(chosen_profile(profile, settings), samples, rate))
    text = " ".join(transcript.text for transcript in transcripts if transcript.text)
    document: dict[str, Any] = {
        "file": str(file),
        "text": text,
        "duration_s": round(samples.size / rate, 3),
        "avg_logprob": min((round(transcript.avg_logprob, 3) for transcript in transcripts), default=None),
    }
    output = Output(json=json)
    if not text:
        output.note(f"{file}: no speech found")
    output.result(document, lambda console: console.print(text, markup=False) if text else None)


def checked_text(text: str) -> str:
    """Return a text that can be spoken. Raises UsageError."""
    stripped = text.strip()
    if not any(character.isalnum() for character in stripped):
        raise UsageError(f"{text!r} holds nothing to say")
    if len(stripped) > MAX_TEXT_CHARACTERS:
        raise UsageError(f"{len(stripped)} characters is too long a text; the limit is {MAX_TEXT_CHARACTERS}")
    return stripped


async def synthesize(profile: "Profile", text: str) -> "tuple[Samples, int]":
    """Return the speech of `text` in the profile's voice, shape (n,), and its sample rate."""
    import numpy as np

    from voicectl.core.audio import pcm16_to_float
    from voicectl.core.errors import EngineError
    from voicectl.core.log import configure
    from voicectl.engine.engine import Engine, EngineOptions
    from voicectl.service.app import model_roots

    configure(json=False, level="warning")
    roots = await asyncio.to_thread(model_roots, profile, ["tts"])
    pieces = []
    rate = 0
    async with Engine(profile, roots, stages=("tts",), options=EngineOptions(standby=False)) as engine:
        speed, timeout_s = profile.tts.speed, profile.timeouts.tts_s
        async for chunk in engine.synthesizer.synthesize(text, speed=speed, timeout_s=timeout_s):
            pieces.append(pcm16_to_float(chunk.pcm))
            rate = chunk.sample_rate
    if not pieces:
        raise EngineError(f"the voice {profile.models.tts} made no sound of {text!r}")
    return np.concatenate(pieces), rate


async def _transcribe(profile: "Profile", samples: "Samples", rate: int) -> "list[Transcript]":
    from voicectl.core.audio import MODEL_RATE_HZ
    from voicectl.core.log import configure
    from voicectl.engine.engine import Engine, EngineOptions
    from voicectl.media.resample import resample
    from voicectl.service.app import model_roots

    at_model_rate = resample(samples, rate, MODEL_RATE_HZ)
    configure(json=False, level="warning")
    roots = await asyncio.to_thread(model_roots, profile, ["stt"])
    async with Engine(profile, roots, stages=("stt",), options=EngineOptions(standby=False)) as engine:
        timeout_s = profile.timeouts.stt_s
        return [
            await engine.transcriber.transcribe(piece, hotwords=profile.stt.hotwords, timeout_s=timeout_s)
            for piece in split_at_pauses(at_model_rate, MODEL_RATE_HZ)
        ]


def split_at_pauses(samples: "Samples", rate: int, longest_s: float = PIECE_S) -> "list[Samples]":
    """Cut mono samples into pieces of at most `longest_s`, each cut at the quietest place of the last third."""
    import numpy as np

    pieces = []
    rest = samples
    window = round(0.1 * rate)
    longest = round(longest_s * rate)
    while rest.size > longest:
        tail = np.abs(rest[longest * 2 // 3 : longest])
        whole = tail[: tail.size // window * window].reshape(-1, window).mean(axis=1)
        cut = longest * 2 // 3 + int(whole.argmin()) * window + window // 2
        pieces.append(rest[:cut])
        rest = rest[cut:]
    return [*pieces, rest]
