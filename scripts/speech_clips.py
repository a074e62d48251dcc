"""The recordings that the measuring scripts play, and the machine they run on. Measures nothing."""

import json
import os
import platform
import subprocess
from dataclasses import dataclass
from pathlib import Path
from urllib.request import Request, urlopen

from voicectl.bench.load import Utterance
from voicectl.bench.scrape import Sample, samples_of
from voicectl.bench.waveform import audible_span
from voicectl.core.audio import Samples, pcm16_to_float
from voicectl.media.audiofile import read_speech

REPOSITORY = Path(__file__).resolve().parent.parent
SPEECH = REPOSITORY.parent / "shared" / "speech"
TAIL_S = 0.3
"""How far the last sound of a clean clip may lie from the end of its speech."""


@dataclass(frozen=True, slots=True)
class Clip:
    """One recording. `speech_end_s` and `longest_pause_s` come from the manifest's voice activity, a hint."""

    path: Path
    category: str
    language: str
    duration_s: float
    words: str | None
    trusted: bool
    raw_rate: int | None
    speech_end_s: float | None
    longest_pause_s: float

    def read(self) -> tuple[Samples, int]:
        """Return mono samples and their rate."""
        if self.raw_rate is not None:
            return pcm16_to_float(self.path.read_bytes()), self.raw_rate
        return read_speech(self.path)


def clips_of(folder: Path) -> list[Clip]:
    """Read the manifest; a folder without one ends the script."""
    manifest = folder / "manifest.jsonl"
    if not manifest.is_file():
        raise SystemExit(f"error: no manifest.jsonl in {folder}\nhint:  name the folder with --speech")
    clips = []
    for line in manifest.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        raw = row.get("raw_pcm_rate_channels")
        activity = row.get("vad_check") or {}
        segments = activity.get("segments") or []
        clips.append(
            Clip(
                path=folder / "clips" / Path(row["file"]).name,
                category=row["category"],
                language=row["language"],
                duration_s=row["duration_s"],
                words=row.get("transcript_for_wer") or row["transcript"],
                trusted=row["transcript_quality"] in {"upstream", "standard_text"},
                raw_rate=int(raw[0]) if raw else None,
                speech_end_s=segments[-1][1] if segments else None,
                longest_pause_s=activity.get("max_internal_pause_s") or 0.0,
            )
        )
    return clips


def clean_utterances(folder: Path) -> list[Utterance]:
    """Return the clips of read speech and commands, 2–5 s, that end with their speech and do not pause in it."""
    utterances = []
    for clip in clips_of(folder):
        if clip.category not in {"en_read", "en_command"} or not 2 <= clip.duration_s <= 5:
            continue
        if clip.speech_end_s is None or clip.longest_pause_s > 0:
            continue
        samples, rate = clip.read()
        span = audible_span(samples, rate)
        if span is not None and abs(span.last_s - clip.speech_end_s) <= TAIL_S:
            utterances.append(Utterance.of(clip.path.name, samples, rate))
    if not utterances:
        raise SystemExit(f"error: no clean clip of 2–5 s in {folder}\nhint:  name the folder with --speech")
    return utterances


def metrics_of(url: str) -> list[Sample]:
    """Return the gateway's own metrics; none where it tells none."""
    key = os.environ.get("VOICECTL_API_KEY")
    request = Request(f"{url}/metrics", headers={"Authorization": f"Bearer {key}"} if key else {})  # noqa: S310
    try:
        with urlopen(request, timeout=5) as answer:  # noqa: S310 - our own gateway
            return samples_of(answer.read().decode())
    except OSError:
        return []


def machine() -> str:
    """Name the machine and the commit."""
    git = ["git", "-C", str(REPOSITORY), "rev-parse", "--short", "HEAD"]
    commit = subprocess.run(git, capture_output=True, text=True, check=False).stdout.strip() or "unknown"  # noqa: S603
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.split(":", 1)[1].strip() for line in lines if "model name" in line), platform.processor())
    return f"{os.cpu_count()} × {model}, commit {commit}, profile cpu"
