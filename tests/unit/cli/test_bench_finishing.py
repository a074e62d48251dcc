"""The end of a run: what there is, is kept and shown, and the exit code says what it is worth."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
import typer

from tests.fakes.bench_records import record
from voicectl.bench.report.files import read_record
from voicectl.bench.run_record import RunRecord
from voicectl.cli.bench_finishing import finish
from voicectl.cli.bench_judging import Judgement
from voicectl.cli.bench_outputs import Outputs
from voicectl.cli.output import Output

NOW = datetime(2026, 1, 2, tzinfo=UTC)
RUN = record(12, 6)


def ended(run: RunRecord, outputs: Outputs, *slos: str, json: bool = True, **more: bool) -> int:
    try:
        finish(run, Judgement.of(slos, "0s"), outputs, Output(json=json), **more)
    except typer.Exit as end:
        return end.exit_code
    return 0


def outputs_in(folder: Path) -> Outputs:
    return Outputs.checked(folder, folder / "run.xml", None, NOW)


def test_exit_code_is_that_of_the_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    late = replace(RUN, health=replace(RUN.health, lag_s=(0.05,) * 10))
    assert ended(RUN, outputs_in(tmp_path), "v2v_p50<800ms") == 0
    assert ended(RUN, outputs_in(tmp_path), "v2v_p50<10ms") == 99
    assert ended(late, outputs_in(tmp_path), "v2v_p50<800ms") == 30
    assert ended(late, outputs_in(tmp_path), interrupted=True) == 130
    capsys.readouterr()


def test_document_names_the_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    outputs = outputs_in(tmp_path)
    ended(RUN, outputs, "v2v_p50<800ms")
    document = json.loads(capsys.readouterr().out)
    assert document["files"] == {"record": str(outputs.record), "junit": str(tmp_path / "run.xml"), "html": None}
    assert document["interrupted"] is False
    assert outputs.record is not None
    assert read_record(outputs.record) == RUN


def test_file_that_cannot_be_written_any_more_does_not_cost_the_result(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outputs = outputs_in(tmp_path)
    assert outputs.junit is not None
    outputs.junit.mkdir()
    assert ended(RUN, outputs) == 2
    captured = capsys.readouterr()
    assert json.loads(captured.out)["verdict"] == "VALID"
    assert "run.xml: cannot be written" in captured.err


def test_markdown_is_markdown_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ended(RUN, Outputs(None, None, None), json=False, markdown=True)
    assert capsys.readouterr().out.startswith("## VALID: short-faq")


def test_thresholds_of_v2v_are_drawn() -> None:
    judgement = Judgement.of(["v2v_p95<800ms,wer<5%", "eou_to_first_audio_p50<1s"], None)
    assert judgement.limits() == [("v2v_p95<800ms", 0.95, 0.8)]
