"""Recorded sentences that are read without a pause."""

import json
from pathlib import Path

from voicectl.bench.load import Utterance
from voicectl.media.audiofile import read_speech


def utterances(speech: Path) -> list[Utterance]:
    """Return a few sentences that are read without a pause."""
    found = []
    for line in (speech / "manifest.jsonl").read_text().splitlines():
        row = json.loads(line)
        activity = row.get("vad_check") or {}
        if row["category"] == "en_read" and 2 <= row["duration_s"] <= 4 and activity.get("max_internal_pause_s") == 0:
            found.append(Utterance.of(row["file"], *read_speech(speech / "clips" / row["file"])))
    return found
