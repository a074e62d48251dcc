"""Tests of `voicectl plan`: answers from data sheets and calibrations, and everything it refuses."""

import json
import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.fakes.capacity_calibration import CALIBRATION
from voicectl.capacity import prediction
from voicectl.capacity.calibration import write_calibration
from voicectl.cli.main import main
from voicectl.core.config import load_profile


@pytest.fixture(autouse=True)
def _few_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prediction, "TURNS", 12)
    monkeypatch.setattr(prediction, "LEAST_TURNS_A_CALL", 2)
    monkeypatch.setattr(prediction, "REPLICATES", 2)


@pytest.fixture
def calibration(tmp_path: Path) -> str:
    """A calibration of profile cpu."""
    path = tmp_path / "calibration.json"
    write_calibration(CALIBRATION, path)
    return str(path)


def test_a_plan_from_a_calibration_is_one_document(calibration: str, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["plan", "--calls-per-hour", "60", "--calibration", calibration, "--slo", "v2v_p95<1s", "--json"]
    assert main(command) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["basis"] == "measured"
    assert document["sessions"] > 0
    assert document["hosts_with_loss"] == document["hosts"] + 1


def test_a_plan_fits_into_80_columns_of_a_pipe(calibration: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "--calls-per-hour", "60", "--calibration", calibration, "--slo", "v2v_p95<1s"]) == 0
    out = capsys.readouterr().out
    tables = [line for line in out.splitlines() if "[" in line and "-" in line]
    assert tables
    assert max(len(line) for line in tables) <= 100
    assert "hosted" in out


def test_the_settings_are_written_as_a_profile_that_loads(
    calibration: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "sized.yaml"
    command = ["plan", "--calls-per-hour", "60", "--calibration", calibration, "--slo", "v2v_p95<1s"]
    assert main([*command, "--write", str(target), "--json"]) == 0
    sessions = json.loads(capsys.readouterr().out)["sessions"]
    assert load_profile(str(target), environment={}).server.max_sessions == sessions


def test_a_page_of_plots_needs_no_network(calibration: str, tmp_path: Path) -> None:
    page = tmp_path / "plan.html"
    command = ["plan", "--calls-per-hour", "60", "--calibration", calibration, "--slo", "v2v_p95<1s"]
    assert main([*command, "--plot", str(page), "--json"]) == 0
    text = page.read_text()
    assert "<svg" in text
    assert "src=" not in text
    assert "<script" not in text


def test_files_are_written_though_nobody_reads_the_table(
    calibration: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page, target = tmp_path / "plan.html", tmp_path / "sized.yaml"
    reader, writer = os.pipe()
    os.close(reader)
    command = ["plan", "--calls-per-hour", "60", "--calibration", calibration, "--slo", "v2v_p95<1s"]
    with os.fdopen(writer, "w") as nobody:
        monkeypatch.setattr(sys, "stdout", nobody)
        main([*command, "--plot", str(page), "--write", str(target)])
    assert page.exists()
    assert target.exists()


def test_an_impossible_promise_is_answered_with_the_best_and_99(
    calibration: str, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["plan", "--calls-per-hour", "60", "--calibration", calibration, "--slo", "v2v_p95<100ms"]
    assert main(command) == 99
    assert "best achievable" in capsys.readouterr().out


def test_a_model_far_from_what_was_measured_needs_to_be_told(
    calibration: str, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["plan", "--calls-per-hour", "60", "--calibration", calibration, "--slo", "v2v_p95<2s"]
    command += ["--model", "qwen3-0.6b-q8_0"]
    assert main([*command, "--json"]) == 3
    assert "more than twice beyond" in capsys.readouterr().err
    assert main([*command, "--extrapolate", "--json"]) == 0
    assert any("EXTRAPOLATED" in note for note in json.loads(capsys.readouterr().out)["notes"])


def test_another_calibration_than_the_profile_s_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "other.json"
    write_calibration(replace(CALIBRATION, models=CALIBRATION.models | {"stt": "another"}), path)
    assert main(["plan", "--calls-per-hour", "60", "--calibration", str(path)]) == 3
    assert "stt another instead of" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        ([], 2, "how many calls"),
        (["--calls-per-hour", "60", "--hardware", "nothing"], 3, "no data sheet"),
        (["--calls-per-hour", "60", "--hardware", "l40s"], 3, "runs on the CPU"),
        (["--calls-per-hour", "60", "--slo", "fast"], 2, "no promise"),
        (["--calls-per-hour", "60", "--language", "es", "--calibration", "x.json"], 3, "English only"),
        (["--calls-per-hour", "60", "--calibration", "x.json"], 3, "no calibration"),
        (["--demand", "none.csv"], 3, "cannot be read"),
        (["--calls-per-hour", "60", "--plot", "plan.gif"], 2, "no .svg"),
        (["--calls-per-hour", "60", "--hardware", "l40s", "--calibration", "x.json"], 2, "exclude"),
    ],
)
def test_what_cannot_be_planned_is_refused_with_its_status(
    arguments: list[str], status: int, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["plan", *arguments]) == status
    assert words in capsys.readouterr().err


def test_a_demand_with_gaps_and_negatives_names_its_rows(
    calibration: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "demand.csv"
    table.write_text("hour,calls\n0,5\n1,-2\n3,4\n")
    assert main(["plan", "--demand", str(table), "--calibration", calibration]) == 3
    said = capsys.readouterr().err
    assert "row 3: -2 calls cannot be" in said
    assert "row 4: a gap: expected 2" in said
    assert "hint:  " in said


def test_a_data_sheet_gives_an_estimate_that_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    command = ["plan", "--calls-per-hour", "60", "--hardware", "a10", "--profile", "gpu-24gb", "--slo", "v2v_p95<2s"]
    assert main([*command, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["basis"] == "ESTIMATE"
    assert document["card"]["fits"]
