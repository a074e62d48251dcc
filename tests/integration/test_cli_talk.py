"""`voicectl talk` as people run it, against a gateway with known delays."""

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.fakes.realtime_server import RATE, Script, fake_gateway

pytestmark = pytest.mark.integration


async def voicectl(*arguments: str, environment: dict[str, str] | None = None) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "voicectl", *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "COLUMNS": "80", **(environment or {})},
    )
    out, err = await asyncio.wait_for(process.communicate(), 60)
    return process.returncode or 0, out.decode(), err.decode()


@pytest.fixture
def question(tmp_path: Path) -> str:
    path = tmp_path / "question.wav"
    tone = 0.3 * np.sin(2 * np.pi * 300 * np.arange(RATE // 2) / RATE)
    soundfile.write(path, tone, RATE)
    return str(path)


async def test_json_is_the_promised_document(question: str, tmp_path: Path) -> None:
    out = tmp_path / "call.wav"
    async with fake_gateway(Script(delays_s=(0.2, 0.2))) as gateway:
        status, stdout, _ = await voicectl(
            "talk", "--server", gateway.url, "--wav", question, "--text", "And then?", "--out", str(out), "--json"
        )
    assert status == 0
    document = json.loads(stdout)
    assert document["audio_out"] == str(out)
    spoken, written = document["turns"]
    assert spoken["v2v_ms"] == pytest.approx(230, abs=30)
    assert {"heard", "reply", "v2v_ms", "eou_to_first_audio_ms", "stages_ms", "interrupted", "cut_in"} <= set(spoken)
    assert (written["heard"], written["reply"], written["v2v_ms"]) == ("And then?", "A tone.", None)
    mix, rate = soundfile.read(out)
    assert rate == RATE
    assert mix.shape[1] == 2
    assert np.abs(mix).max(axis=0) == pytest.approx([0.3, 0.3], abs=0.02)


async def test_people_see_the_transcript_and_where_the_time_went(question: str) -> None:
    async with fake_gateway() as gateway:
        status, stdout, stderr = await voicectl("talk", "--server", gateway.url, "--wav", question)
    assert status == 0
    assert "you    some words" in stdout
    assert "agent  A tone." in stdout
    assert "voice to voice" in stdout
    assert "\x1b" not in stdout
    # Whoever measures on a machine that is busy otherwise is told so.
    assert [line for line in stderr.splitlines() if not line.startswith("this machine was busy")] == []
    assert max(map(len, stdout.splitlines())) <= 80


async def test_turn_that_is_never_answered_is_reported_with_null(question: str) -> None:
    async with fake_gateway(Script(delays_s=())) as gateway:
        status, stdout, _ = await voicectl(
            "talk", "--server", gateway.url, "--wav", question, "--wait", "0.5", "--json"
        )
    assert status == 0
    assert json.loads(stdout)["turns"][0]["v2v_ms"] is None


async def test_a_test_call_says_that_it_is_one() -> None:
    async with fake_gateway(Script(delays_s=(0.2, 0.2))) as gateway:
        for extra in ((), ("--probe",)):
            assert (await voicectl("talk", "--server", gateway.url, "--text", "hello", "--json", *extra))[0] == 0
    assert ["probe=1" in path for path in gateway.paths] == [False, True]


async def test_no_gateway_at_the_url_is_one_clear_line() -> None:
    status, stdout, stderr = await voicectl("talk", "--server", "ws://127.0.0.1:9", "--text", "hello")
    assert (status, stdout) == (7, "")
    assert stderr.startswith("error: no call to ws://127.0.0.1:9")
    assert "Traceback" not in stderr


async def test_call_lost_mid_turn_is_an_error_and_the_mix_is_kept(question: str, tmp_path: Path) -> None:
    out = tmp_path / "call.wav"
    async with fake_gateway(Script(hang_up_after_turns=1)) as gateway:
        status, _, stderr = await voicectl("talk", "--server", gateway.url, "--wav", question, "--out", str(out))
    assert status == 7
    assert stderr == "error: the gateway ended the call (close code 1011)\n"
    assert soundfile.info(out).duration > 0.5


async def test_ctrl_c_ends_the_call_quietly(question: str, tmp_path: Path) -> None:
    out = tmp_path / "call.wav"
    async with fake_gateway(Script(delays_s=())) as gateway:
        arguments = ("-m", "voicectl", "talk", "--server", gateway.url, "--wav", question, "--out", str(out))
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *arguments,
            stderr=asyncio.subprocess.PIPE,
            # Programs that a shell starts in the background are deaf to Ctrl-C, and so would be their children.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        await asyncio.wait_for(gateway.configured.wait(), 20)
        await asyncio.sleep(0.5)
        process.send_signal(signal.SIGINT)
        _, stderr = await asyncio.wait_for(process.communicate(), 20)
    assert process.returncode == 130
    assert stderr == b""
    assert out.is_file()


async def test_private_gateway_that_cannot_start_gives_its_own_reason(tmp_path: Path) -> None:
    home = {"VOICECTL_HOME": str(tmp_path)}
    status, stdout, stderr = await voicectl("talk", "--text", "hello", "--json", environment=home)
    assert status == 5
    assert json.loads(stdout)["error"]["exit_code"] == 5
    assert "Traceback" not in stderr
