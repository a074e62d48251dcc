"""`voicectl bench` as people run it, against a server whose delays are known."""

import asyncio
import json
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from subprocess import CompletedProcess

import pytest
from junitparser import JUnitXml

from tests.fakes.bench_commands import SHORT, bench, names_in, started, write_tones
from tests.fakes.bench_records import record
from tests.fakes.null_server import Script, null_server
from voicectl.bench.report.files import read_record, write_record

pytestmark = pytest.mark.integration

Ended = tuple[int, str, str]
"""An exit status, and what was written to stdout and stderr."""


@pytest.fixture
def bench_here(
    out: Path, command_line: Callable[..., CompletedProcess[str]], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Ended]:
    """Return a function that runs `voicectl bench` in this process: for what ends before there is any call."""
    monkeypatch.chdir(out)

    def run(*arguments: str) -> Ended:
        finished = command_line("bench", *arguments)
        return finished.returncode, finished.stdout, finished.stderr

    return run


@pytest.fixture
def workload(tmp_path: Path) -> str:
    """Return a workload of two short tones a call, which needs no voice."""
    return write_tones(tmp_path)


def write_workload(path: str, turns: str) -> None:
    Path(path).with_name("noise.wav").write_bytes(b"RIFF of no kind")
    Path(path).write_text(f"name: bad\nconversations:\n  - name: one\n    turns: {turns}\n")


@pytest.fixture
def out(tmp_path: Path) -> Path:
    folder = tmp_path / "out"
    folder.mkdir()
    return folder


async def test_run_writes_record_page_junit_and_document(workload: str, out: Path) -> None:
    reports = ("--html", str(out / "run.html"), "--junit", str(out / "run.xml"))
    async with null_server(Script(delay=("constant", 0.3))) as server:
        status, stdout, stderr = await bench(
            *("run", "--server", server.url, "--workload", workload, *SHORT, *reports),
            *("--slo", "v2v_p50<2s", "--json", "--out", str(out)),
            folder=out,
        )
    document = json.loads(stdout)
    # A machine that is busy otherwise may well make the run INVALID; whatever it is must be told alike everywhere.
    assert status == document["exit_code"], stderr
    assert status in {0, 30}
    kept = read_record(Path(document["files"]["record"]))
    assert kept.plan.workload == "tones"
    assert len(kept.calls) == sum(document["load"]["calls"].values()) >= 2
    figures = document["metrics"] or document["observed"]
    assert figures["latencies"]["v2v"]["percentiles"]["p50"]["value"] == pytest.approx(0.3, abs=0.1)
    suite = JUnitXml.fromfile(str(out / "run.xml"))
    assert (suite.tests, suite.errors) == (2, int(status == 30))
    page = (out / "run.html").read_text()
    assert document["verdict"] in page
    assert "://" not in page.replace(server.url, "")
    assert "Traceback" not in stderr


async def test_kept_record_gives_the_same_reports_again(workload: str, out: Path) -> None:
    judged = ("--slo", "v2v_p50<2s", "--warm-up", "0s", "--json")
    async with null_server() as server:
        run = ("run", "--server", server.url, "--workload", workload, *SHORT)
        status, stdout, _ = await bench(*run, *judged[:2], "--json", "--html", str(out / "run.html"), folder=out)
    first = json.loads(stdout)
    again = await bench("report", first["files"]["record"], *judged, "--html", str(out / "again.html"), folder=out)
    assert again[0] == status
    assert {**json.loads(again[1]), "files": None} == {**first, "files": None}
    assert (out / "again.html").read_bytes() == (out / "run.html").read_bytes()


async def test_people_see_the_verdict_first_in_80_columns_and_progress_apart(workload: str, out: Path) -> None:
    async with null_server() as server:
        status, stdout, stderr = await bench("run", "--server", server.url, "-w", workload, *SHORT, folder=out)
    assert status in {0, 30}
    assert stdout.split()[0] in {"VALID", "INVALID"}
    assert "voice to voice" in stdout
    assert "\x1b" not in stdout + stderr
    assert max(map(len, stdout.splitlines())) <= 80
    assert "preparing the workload" in stderr
    assert [name.startswith("voicectl-bench-") for name in names_in(out)] == [True]


async def test_threshold_that_is_not_met_is_exit_99_or_the_run_invalid(workload: str, out: Path) -> None:
    async with null_server() as server:
        status, stdout, _ = await bench(
            "run", "--server", server.url, "-w", workload, *SHORT, "--slo", "v2v_p50<10ms", "--json", folder=out
        )
    document = json.loads(stdout)
    assert status == (99 if document["verdict"] == "VALID" else 30)
    assert document["slos"][0]["met"] is not True


async def test_run_in_which_no_call_comes_to_its_end_is_invalid(workload: str, out: Path) -> None:
    async with null_server(Script(fault="http-503", every=1)) as server:
        status, stdout, stderr = await bench("run", "--server", server.url, "-w", workload, *SHORT, folder=out)
    assert status == 7
    assert "HTTP 503" in stderr
    assert stdout == ""


async def test_server_that_never_answers_gives_no_figure(workload: str, out: Path) -> None:
    async with null_server(Script(fault="silent", every=1)) as server:
        status, stdout, _ = await bench("run", "--server", server.url, "-w", workload, *SHORT, "--json", folder=out)
    document = json.loads(stdout)
    assert status == 30
    assert document["metrics"] is None
    assert document["reasons"]


async def test_search_for_what_cannot_be_says_the_best_there_is(workload: str, out: Path) -> None:
    async with null_server(Script(delay=("constant", 0.3))) as server:
        status, stdout, stderr = await bench(
            *("run", "--server", server.url, "-w", workload, "--concurrency", "1", "--duration", "6s"),
            *("--warm-up", "0s", "--search", "v2v_p50<10ms", "--json"),
            folder=out,
        )
    document = json.loads(stdout)
    search = document["search"]
    assert search["load"] is None
    # A machine that is busy otherwise cannot even tell that much, and must say so.
    assert (
        status == document["exit_code"] == (99 if any(one["outcome"] == "missed" for one in search["levels"]) else 30)
    )
    if status == 99:
        assert search["best_value"] == pytest.approx(0.3, abs=0.1)
    records = [name for name in names_in(out) if "-level-" in name]
    assert len(records) == len(search["levels"]) == search["num_tries"] >= 2
    assert "run 1, 1 call at a time: the first load" in stderr


async def test_ctrl_c_ends_the_calls_and_keeps_what_there_is(workload: str, out: Path) -> None:
    async with null_server() as server:
        process = await started(
            *("run", "--server", server.url, "-w", workload, "--concurrency", "2", "--duration", "10m", "--json"),
            folder=out,
        )
        assert process.stderr is not None
        said = b""
        with suppress(TimeoutError):
            async with asyncio.timeout(60):
                # The first plain line of progress: the load is on.
                while b"0:10" not in said and (line := await process.stderr.readline()):
                    said += line
        process.send_signal(signal.SIGINT)
        stdout, stderr = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 130, stderr
    document = json.loads(stdout)
    assert (document["verdict"], document["interrupted"]) == ("INVALID", True)
    kept = read_record(Path(out / document["files"]["record"]))
    assert sum(call.end == "unfinished" for call in kept.calls) >= 1
    assert any(call.end == "completed" for call in kept.calls)
    assert b"stopping" in stderr
    assert b"Traceback" not in stderr


async def test_nobody_at_the_url_is_told_before_any_run(workload: str, out: Path) -> None:
    status, stdout, stderr = await bench("run", "--server", "ws://127.0.0.1:9", "-w", workload, folder=out)
    assert (status, stdout) == (7, "")
    assert stderr.splitlines()[-2].startswith("error: no call to ws://127.0.0.1:9: no-connection")
    assert names_in(out) == []


async def test_server_that_wants_a_key_is_told_with_the_variable(workload: str, out: Path) -> None:
    async with null_server(Script(api_key="vk_right")) as server:
        status, _, stderr = await bench(
            *("run", "--server", server.url, "-w", workload), folder=out, environment={"VOICECTL_API_KEY": "vk_wrong"}
        )
        assert status == 7
        assert "hint:  the server wants a key: set VOICECTL_API_KEY" in stderr


async def test_private_gateway_without_models_gives_its_own_reason(workload: str, out: Path, tmp_path: Path) -> None:
    home = {"VOICECTL_HOME": str(tmp_path / "home")}
    for chosen in (workload, "short-faq"):
        status, stdout, stderr = await bench("run", "-w", chosen, "--json", folder=out, environment=home)
        assert status == 5
        assert json.loads(stdout)["error"]["exit_code"] == 5
        assert "Traceback" not in stderr


REFUSED = [
    (("--calls-per-minute", "6", "--concurrency", "2"), 2, "are different loads"),
    (("--workload", "short-fak"), 3, "did you mean short-faq?"),
    (("--slo", "v2v_p95"), 2, "v2v_p95"),
    (("--out", "none"), 2, "--out none does not exist"),
    (("--html", "none/run.html"), 2, "the folder none does not exist"),
    (("--duration", "soon"), 2, "'soon' is no duration"),
    (("--concurrency", "0"), 2, "a closed loop needs 1 to"),
    (("--trace", "none.csv"), 3, "none.csv: cannot be read"),
    (("--set", "tts.speed=1.1"), 2, "--set changes a private gateway"),
    (("--calls-per-minute", "0.001"), 2, "no call begins"),
]


@pytest.mark.parametrize(("arguments", "status", "told"), REFUSED, ids=[told for *_, told in REFUSED])
def test_what_cannot_be_is_refused_before_anything_starts(
    arguments: tuple[str, ...], status: int, told: str, out: Path, bench_here: Callable[..., Ended]
) -> None:
    found = bench_here("run", "--server", "ws://127.0.0.1:9", *arguments)
    assert found[0] == status
    assert told in found[2]
    assert "Traceback" not in found[2]
    assert names_in(out) == []


@pytest.mark.parametrize(
    ("turns", "told"),
    [
        ("[{audio: gone.wav}]", "gone.wav"),
        ("[{audio: noise.wav}]", "noise.wav"),
        ("[{audo: tone.wav}]", "did you mean audio?"),
        ("[]", "turns"),
        ("[{audio: tone.wav, say: hello}]", "turns.0"),
    ],
)
async def test_workload_that_cannot_be_spoken_is_exit_3_before_anything_starts(
    turns: str, told: str, workload: str, out: Path
) -> None:
    write_workload(workload, turns)
    async with null_server() as server:
        status, stdout, stderr = await bench("run", "--server", server.url, "-w", workload, *SHORT, folder=out)
    assert (status, stdout, names_in(out)) == (3, "", [])
    assert told in stderr
    assert "Traceback" not in stderr
    assert server.num_calls == 0


def test_comparison_of_a_run_with_a_slower_one_is_exit_99(out: Path, bench_here: Callable[..., Ended]) -> None:
    for name, slower in (("a.json.gz", 1.0), ("b.json.gz", 1.0), ("slow.json.gz", 1.5)):
        write_record(out / name, record(30, 8, seed=9, slower=slower))
    status, stdout, _ = bench_here("compare", "a.json.gz", "b.json.gz")
    assert status == 0, stdout
    status, stdout, _ = bench_here("compare", "a.json.gz", "slow.json.gz", "--json")
    assert status == 99
    assert json.loads(stdout)["regression"] is True


def test_file_that_is_no_record_is_exit_3(out: Path, bench_here: Callable[..., Ended]) -> None:
    (out / "broken.json.gz").write_bytes(b"\x1f\x8b\x08\x00")
    for arguments in (("report", "broken.json.gz"), ("compare", "broken.json.gz", "broken.json.gz")):
        status, stdout, stderr = bench_here(*arguments)
        assert (status, stdout) == (3, "")
        assert "error: broken.json.gz: damaged or cut off" in stderr


def test_workloads_are_listed(bench_here: Callable[..., Ended]) -> None:
    status, stdout, _ = bench_here("workloads")
    assert status == 0
    assert {line.split()[0] for line in stdout.splitlines() if not line.startswith(" ")} >= {"short-faq", "barge-in"}
