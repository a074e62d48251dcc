"""Measure the turn: v2v, cut-ins, false turns and word errors over recorded speech, as one table.

Needs a folder of recordings with a `manifest.jsonl` (file, category, language, duration_s,
transcript_for_wer, transcript_quality, raw_pcm_rate_channels). Every clip is a call of its own,
played in real time against a gateway of profile `cpu`; nothing else should run on the machine.
"""

import argparse
import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import soxr
from speech_clips import SPEECH, Clip, clips_of, machine

from voicectl.bench.caller import connect
from voicectl.bench.turns import TurnReport
from voicectl.cli.private_gateway import private_gateway
from voicectl.core.audio import MODEL_RATE_HZ
from voicectl.core.config import load_profile
from voicectl.core.errors import AudioInputError
from voicectl.core.log import configure

# The peer's prompt and length, so that both answer the same question in the same way.
SETTINGS = (
    "llm.system_prompt=You are a helpful phone agent for an online shop. Answer in one short sentence.",
    "llm.max_reply_tokens=48",
)
SILENCE_AFTER_S = 2.0


@dataclass(slots=True)
class Figures:
    """What was measured. Milliseconds, counts, and word error rates in percent."""

    v2v: dict[str, float | None] = field(default_factory=dict)
    unexplained: list[float] = field(default_factory=list)
    turns: dict[str, dict[str, Any]] = field(default_factory=dict)
    english: dict[str, bool] = field(default_factory=dict)
    num_turns: int = 0
    false_turns: dict[str, int] = field(default_factory=dict)
    wer: float | None = None
    wer_reference: float | None = None
    num_wer_clips: int = 0
    demo_s: float | None = None


def is_timed(clip: Clip) -> bool:
    """Tell whether the clip counts for v2v."""
    return clip.category in {"en_read", "en_command"} and 2 <= clip.duration_s <= 6


def say(text: str) -> None:
    """Tell people how far it is."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


async def call_with(url: str, clip: Clip) -> tuple[TurnReport, int]:
    """Make one call that plays the clip; return its turn and how many turns the gateway committed."""
    samples, rate = clip.read()
    async with connect(url) as caller:
        report = await caller.speak(samples, rate, answer_timeout_s=SILENCE_AFTER_S + 2)
        if caller.worst_late_ms > 20:
            say(f"  (a frame left {caller.worst_late_ms:.0f} ms late: this machine is busy)")
        return report, len(caller.record.committed)


async def measure_calls(figures: Figures, url: str, clips: Sequence[Clip], parts: set[str]) -> None:
    """Play the clips that the chosen parts need."""
    for clip in clips:
        english = clip.language == "en"
        silent = clip.category in {"non_speech", "dtmf"}
        wanted = (
            (is_timed(clip) and "v2v" in parts) or (english and "cut-ins" in parts) or (silent and "noise" in parts)
        )
        if not wanted:
            continue
        try:
            report, num_committed = await call_with(url, clip)
        except AudioInputError as error:
            say(f"left out: {error}")
            continue
        shown = "-" if report.v2v_ms is None else f"{report.v2v_ms:.0f}"
        mark = " CUT-IN" if report.cut_in else ""
        say(f"{clip.path.name[:56]:56} {num_committed} turns, v2v {shown:>5} ms{mark}  {report.heard[:60]!r}")
        figures.turns[clip.path.name] = report.document()
        if silent:
            figures.false_turns[clip.path.name] = num_committed
        if english:
            figures.english[clip.path.name] = report.cut_in
            figures.num_turns += num_committed
        if is_timed(clip):
            figures.v2v[clip.path.name] = None if report.cut_in else report.v2v_ms
        if report.unexplained_ms is not None:
            figures.unexplained.append(report.unexplained_ms)


async def measure_wer(figures: Figures, clips: Sequence[Clip]) -> None:
    """Compare short windows with the 30 s window of faster-whisper, same model and beam."""
    import jiwer
    from faster_whisper import WhisperModel
    from whisper_normalizer.english import EnglishTextNormalizer

    from voicectl.engine.engine import Engine
    from voicectl.service.app import model_roots

    profile = load_profile("cpu")
    roots = model_roots(profile)
    reference = WhisperModel(str(roots["stt"]), device="cpu", compute_type=profile.stt.compute_type, cpu_threads=1)
    normalise = EnglishTextNormalizer()
    truth, ours, theirs = [], [], []
    async with Engine(profile, roots, stages=("stt",)) as engine:
        for clip in clips:
            if clip.category != "en_read" or not clip.trusted or not clip.words or clip.duration_s > 28:
                continue
            samples, rate = clip.read()
            samples = soxr.resample(samples, rate, MODEL_RATE_HZ).astype(np.float32)
            transcript = await engine.transcriber.transcribe(samples, timeout_s=60)
            segments, _ = reference.transcribe(
                samples,
                language="en",
                beam_size=1,
                temperature=[0.0],
                condition_on_previous_text=False,
            )
            truth.append(normalise(clip.words))
            ours.append(normalise(transcript.text))
            theirs.append(normalise(" ".join(segment.text for segment in segments)))
    figures.wer = 100 * jiwer.wer(truth, ours)
    figures.wer_reference = 100 * jiwer.wer(truth, theirs)
    figures.num_wer_clips = len(truth)


def measure_demo(figures: Figures) -> None:
    """Time the demo from the start of the command to the first sample of the reply."""
    command = [sys.executable, "-m", "voicectl", "talk", "--ask", "What is the capital of France?", "--json"]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True, timeout=120)  # noqa: S603 - our own program
    document = json.loads(done.stdout)
    figures.demo_s = document["first_audio_s"]


def percentile(values: Sequence[float], percent: float) -> float:
    """Return a percentile by linear interpolation."""
    return float(np.percentile(np.array(values), percent))


def table(figures: Figures, peer: str) -> Iterator[str]:
    """Return the lines of the result table."""
    yield "| what | bar | aim | voicectl | peer, same run |"
    yield "|---|---|---|---|---|"
    times = [value for value in figures.v2v.values() if value is not None]
    if times:
        p50, p90 = percentile(times, 50), percentile(times, 90)
        missing = len(figures.v2v) - len(times)
        note = f", {missing} cut in or unanswered" if missing else ""
        measured = f"P50 {p50:.0f} ms, P90 {p90:.0f} ms (n = {len(times)}{note})"
        bars = "P50 ≤ 500, P90 ≤ 700 | P50 ≤ 380, P90 ≤ 500"
        yield f"| v2v, `en_read` and `en_command` of 2–6 s | {bars} | {measured} | {peer} |"
    if figures.english:
        cut = sum(figures.english.values())
        rate = 100 * cut / len(figures.english)
        measured = f"{cut} of {len(figures.english)} clips ({rate:.1f} %); {figures.num_turns} turns"
        yield f"| cut-ins, all English clips | ≤ 5 % | 0 | {measured} | |"
    if figures.false_turns:
        measured = f"{sum(figures.false_turns.values())} of {len(figures.false_turns)} clips"
        yield f"| turns made of `non_speech` and `dtmf` | 0 | 0 | {measured} | |"
    if figures.wer is not None and figures.wer_reference is not None:
        gap = figures.wer - figures.wer_reference
        both = f"{figures.wer:.2f} % against {figures.wer_reference:.2f} %"
        measured = f"{both}: {gap:+.2f} points (n = {figures.num_wer_clips})"
        yield f"| WER against the 30 s window | ≤ +0.3 | equal | {measured} | |"
    if figures.unexplained:
        gaps = [abs(value) for value in figures.unexplained]
        measured = f"worst {max(gaps):.1f} ms, median {percentile(gaps, 50):.1f} ms (n = {len(gaps)})"
        yield f"| stage sum against v2v | within 20 ms | 5 ms | {measured} | |"
    if figures.demo_s is not None:
        yield f"| demo, to first audio of the reply | ≤ 6 s | 3 s | {figures.demo_s:.1f} s | |"


async def run(options: argparse.Namespace) -> Figures:
    """Measure the chosen parts."""
    figures = Figures()
    clips = clips_of(options.speech)[:: options.every]
    parts = set(options.parts)
    if "demo" in parts:
        measure_demo(figures)
    if "wer" in parts:
        await measure_wer(figures, clips)
    if parts & {"v2v", "cut-ins", "noise"}:
        async with private_gateway("cpu", (*SETTINGS, *options.set)) as gateway:
            await measure_calls(figures, await gateway.url(), clips, parts)
    return figures


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--speech", type=Path, default=SPEECH)
    parts = ["v2v", "cut-ins", "noise", "wer", "demo"]
    parser.add_argument("--parts", nargs="+", choices=parts, default=parts)
    parser.add_argument("--every", type=int, default=1, help="take every n-th clip")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="profile setting")
    parser.add_argument("--peer", default="", help="what a peer measured in the same sitting, for the last column")
    parser.add_argument("--json", type=Path, help="also write all figures here")
    options = parser.parse_args()
    configure(json=False, level="warning")
    figures = asyncio.run(run(options))
    if options.json:
        content: dict[str, Any] = {name: getattr(figures, name) for name in Figures.__slots__}
        options.json.write_text(json.dumps(content, indent=1))
    sys.stdout.write(f"{machine()}\n\n" + "\n".join(table(figures, options.peer)) + "\n")


if __name__ == "__main__":
    main()
