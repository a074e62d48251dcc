"""The appliance answers from the command line, on the models of profile cpu."""

import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]

QUESTION = "What is the capital of France?"
STAGE_SUM_MS = 20


@pytest.fixture(autouse=True, scope="module")
def _models(model_root: Callable[[str], Path]) -> None:
    for name in ("faster-whisper-tiny.en", "smollm2-135m-instruct-q4_1", "piper-en_US-joe-medium"):
        model_root(name)


def run(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "voicectl", *arguments]
    return subprocess.run(command, capture_output=True, timeout=120, check=False)


def document(*arguments: str) -> dict[str, object]:
    finished = run(*arguments, "--json")
    assert finished.returncode == 0, finished.stderr.decode()
    return json.loads(finished.stdout)


def test_appliance_answers_the_question_its_own_voice_asks(tmp_path: Path) -> None:
    out = tmp_path / "call.wav"
    call = document("talk", "--ask", QUESTION, "--out", str(out))
    (turn,) = call["turns"]
    assert "capital" in turn["heard"].lower()
    assert turn["reply"]
    assert turn["v2v_ms"] is not None
    assert not turn["cut_in"]
    assert not turn["interrupted"]
    assert all(value is not None for value in turn["stages_ms"].values())
    assert abs(turn["unexplained_ms"]) <= STAGE_SUM_MS + call["late_ms"]
    mix, rate = soundfile.read(out)
    assert (rate, mix.shape[1]) == (24_000, 2)
    assert (np.abs(mix).max(axis=0) > 0.05).all()


def test_recorded_command_is_answered(speech: Path) -> None:
    rows = map(json.loads, (speech / "manifest.jsonl").read_text().splitlines())
    clip = next(
        row
        for row in rows
        if row["category"] == "en_command" and row["file"].endswith(".wav") and 2 <= row["duration_s"] <= 6
    )
    call = document("talk", "--wav", str(speech / "clips" / clip["file"]))
    (turn,) = call["turns"]
    assert turn["heard"]
    assert turn["reply"]
    assert turn["v2v_ms"] is not None
    assert abs(turn["unexplained_ms"]) <= STAGE_SUM_MS + call["late_ms"]


def test_noise_makes_no_turn(speech: Path) -> None:
    rows = map(json.loads, (speech / "manifest.jsonl").read_text().splitlines())
    clip = next(row for row in rows if row["category"] == "dtmf" and row["duration_s"] < 10)
    (turn,) = document("talk", "--wav", str(speech / "clips" / clip["file"]), "--wait", "2")["turns"]
    assert (turn["heard"], turn["reply"], turn["v2v_ms"]) == ("", "", None)


def test_what_is_said_is_transcribed_in_every_sample_format(tmp_path: Path) -> None:
    spoken = tmp_path / "spoken.wav"
    said = document("say", "The train to London leaves at nine.", "--out", str(spoken))
    assert said["audio_out"] == str(spoken)
    samples, rate = soundfile.read(spoken)
    variants = {"PCM_U8": samples, "FLOAT": samples, "PCM_24": np.stack([samples, samples], axis=1)}
    for subtype, signal_ in variants.items():
        path = tmp_path / f"{subtype}.wav"
        soundfile.write(path, signal_, rate, subtype=subtype)
        text = str(document("transcribe", str(path))["text"]).lower()
        assert "train to london" in text, subtype


def test_speech_can_be_piped() -> None:
    finished = run("say", "Hello there.", "--out", "-")
    assert finished.returncode == 0
    assert finished.stdout.startswith(b"RIFF")


def test_serve_says_when_it_is_ready_and_ends_on_sigterm() -> None:
    command = [sys.executable, "-m", "voicectl", "serve", "--port", "0", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as server:
        try:
            assert server.stdout is not None
            url = json.loads(server.stdout.readline())["url"]
            with urllib.request.urlopen(f"{url}/healthz", timeout=10) as answer:
                assert answer.status == 200
            server.send_signal(signal.SIGTERM)
            assert server.wait(30) == 0
        finally:
            server.kill()


def test_private_gateway_ends_with_the_program_that_started_it() -> None:
    command = [sys.executable, "-m", "voicectl", "serve", "--private", "--port", "0", "--json"]
    read, write = os.pipe()
    with subprocess.Popen(command, stdin=read, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as server:
        try:
            os.close(read)
            assert server.stdout is not None
            assert "url" in json.loads(server.stdout.readline())
            os.close(write)
            assert server.wait(30) == 0
        finally:
            server.kill()
