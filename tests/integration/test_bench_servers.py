"""`voicectl bench run` against servers that are not voicectl: TLS, keys, paths, queries, the protocol of before GA."""

import json
import shutil
from pathlib import Path

import pytest

from tests.fakes.bench_commands import SHORT, bench, names_in, write_tones
from tests.fakes.certificates import make_pair
from tests.fakes.null_server import FAULTS, Script, null_server

pytestmark = [
    pytest.mark.integration,
    pytest.mark.timeout(240),
    pytest.mark.skipif(shutil.which("openssl") is None, reason="needs the openssl program to make certificates"),
]
ONE = ("--concurrency", "1", "--duration", "1s", "--answer-timeout", "2s", "--warm-up", "0s")


@pytest.fixture
def workload(tmp_path: Path) -> str:
    """Return a workload that needs no voice."""
    return write_tones(tmp_path)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    folder = tmp_path / "out"
    folder.mkdir()
    return folder


async def test_server_behind_a_private_authority_another_path_and_a_key_file_is_measured(
    workload: str, out: Path, tmp_path: Path
) -> None:
    pair = make_pair(tmp_path, "private")
    key = tmp_path / "key"
    key.write_text("vk_right\n")
    script = Script(
        delay=("constant", 0.2),
        tls=(str(pair.certificate), str(pair.key)),
        api_key="vk_right",
        path="/openai/realtime",
        timings=False,
    )
    async with null_server(script) as server:
        url = f"{server.url}/openai/realtime?deployment=ours"
        given = ("run", "--server", url, "-w", workload, *ONE, "--model", "", "--no-timings", "--json")
        status, stdout, stderr = await bench(*given, "--key-file", str(key), "--ca", str(pair.certificate), folder=out)
        assert json.loads(stdout)["load"]["calls"]["completed"] >= 1, stderr
        assert status in {0, 30}, "30 where this machine was too busy"
        # Without the authority, and without the key, it costs no run and says what is missing.
        untrusted = await bench(*given, "--key-file", str(key), folder=out)
        keyless = await bench(*given, "--ca", str(pair.certificate), folder=out, environment={"VOICECTL_API_KEY": ""})
    assert untrusted[0] == keyless[0] == 7
    assert "no-connection" not in untrusted[2]
    assert "tls: " in untrusted[2]
    assert "--ca FILE" in untrusted[2]
    assert "VOICECTL_API_KEY, or name a file with --key-file" in keyless[2]
    assert "Traceback" not in untrusted[2] + keyless[2]


async def test_server_of_before_ga_is_called_as_it_wants_to_be(workload: str, out: Path) -> None:
    async with null_server(Script(delay=("constant", 0.2), beta=True, timings=False)) as server:
        _, stdout, stderr = await bench(
            "run", "--server", server.url, "-w", workload, *ONE, "--beta", "--json", folder=out
        )
    found = json.loads(stdout)
    assert found["load"]["calls"]["completed"] >= 1, stderr
    assert found["load"]["calls"].get("lost", 0) == found["load"]["calls"].get("refused", 0) == 0


async def test_another_path_is_told_with_how_to_name_one(workload: str, out: Path) -> None:
    async with null_server(Script(path="/openai/realtime")) as server:
        status, stdout, stderr = await bench("run", "--server", server.url, "-w", workload, *ONE, folder=out)
    assert (status, stdout) == (7, "")
    assert "HTTP 404" in stderr
    assert "another path is part of --server" in stderr


REFUSED_AT_ONCE = {"http-503": "HTTP 503", "reset-on-connect": "reset", "no-websocket": "no WebSocket"}
RAN_IN_VAIN = {
    "reset": "without a close frame",
    "close": "close code 1011",
    "beta": "--beta",
    "not-json": "no JSON",
    "malformed": "never began",
    "session-error": "no such session",
    "deaf": "no turn was answered",
    "silent": "no turn was answered",
}


@pytest.mark.parametrize("fault", sorted({*REFUSED_AT_ONCE, *RAN_IN_VAIN}))
async def test_bad_server_gives_its_cause_and_an_exit_code(fault: str, workload: str, out: Path) -> None:
    assert fault in FAULTS
    async with null_server(Script(fault=fault)) as server:
        status, stdout, stderr = await bench("run", "--server", server.url, "-w", workload, *ONE, folder=out)
    assert "Traceback" not in stderr
    if fault in REFUSED_AT_ONCE:
        assert (status, stdout, names_in(out)) == (7, "", [])
        assert REFUSED_AT_ONCE[fault] in stderr
        assert "hint:  " in stderr
    else:
        assert status == 30
        assert "INVALID" in stdout
        assert RAN_IN_VAIN[fault] in " ".join(stdout.split())
        assert "voicectl talk" in stderr


BAD_OPTIONS = [
    (("--key-file", "none"), 3, "--key-file none: cannot be read"),
    (("--key-file", "empty"), 3, "--key-file empty: holds no key"),
    (("--key-file", "two"), 3, "--key-file two: holds no key"),
    (("--ca", "none"), 3, "none: cannot be read"),
    (("--ca", "empty"), 3, "empty: holds no certificate"),
]


@pytest.mark.parametrize(("arguments", "status", "told"), BAD_OPTIONS, ids=[told for *_, told in BAD_OPTIONS])
async def test_key_or_authority_that_is_none_is_refused(
    arguments: tuple[str, ...], status: int, told: str, workload: str, out: Path
) -> None:
    (out / "empty").write_text("")
    (out / "two").write_text("one\ntwo\n")
    found = await bench("run", "--server", "wss://127.0.0.1:9", "-w", workload, *arguments, folder=out)
    assert found[0] == status
    assert told in found[2]
    assert "hint:  " in found[2]
    assert "Traceback" not in found[2]


async def test_options_of_a_running_server_are_refused_without_one(workload: str, out: Path) -> None:
    status, _, stderr = await bench("run", "-w", workload, *SHORT, "--beta", folder=out)
    assert status == 2
    assert "--beta is about a running server" in stderr
