"""What earlier runs left is cleared away; what a living run holds is not touched."""

import fcntl
import subprocess
import sys
from pathlib import Path

import pytest

from voicectl.provision.leftovers import FOLDER, HELD_FILE, KEPT_RUNS, clear_run, end_leftovers, prune_runs


def run_folder(state: Path, name: str) -> Path:
    folder = state / FOLDER / name
    for place in ("run-1/env", "run-1/inventory", "run-1/artifacts/play", "home", "tmp"):
        (folder / place).mkdir(parents=True)
    (folder / HELD_FILE).touch()
    (folder / "run-1/env/extravars").write_text("{}")
    (folder / "run-1/artifacts/play/stdout").write_text("PLAY")
    (folder / "run-1/artifacts/play/command").write_text("{}")
    return folder


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_failed_run_keeps_its_output_and_nothing_that_may_be_secret(tmp_path: Path) -> None:
    folder = run_folder(tmp_path, "r1")
    clear_run(folder, keep_output=True)
    assert files(folder) == [HELD_FILE, "run-1/artifacts/play/stdout"]


def test_run_that_went_well_leaves_nothing(tmp_path: Path) -> None:
    folder = run_folder(tmp_path, "r1")
    clear_run(folder, keep_output=False)
    assert not folder.exists()


def test_only_the_latest_outputs_are_kept(tmp_path: Path) -> None:
    names = [f"r{number:02}" for number in range(KEPT_RUNS + 3)]
    for name in names:
        run_folder(tmp_path, name)
    prune_runs(tmp_path)
    assert sorted(path.name for path in (tmp_path / FOLDER).iterdir()) == names[3:]


def test_folder_of_a_living_run_is_left_alone(tmp_path: Path) -> None:
    folder = run_folder(tmp_path, "r1")
    before = files(folder)
    with (folder / HELD_FILE).open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        prune_runs(tmp_path)
        assert files(folder) == before


def start(mark: str) -> "subprocess.Popen[bytes]":
    code = "import sys; print(flush=True); sys.stdin.read()"
    process = subprocess.Popen([sys.executable, "-c", code, mark], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    # Before it has begun to run, its command line is still ours.
    process.stdout.readline()
    return process


@pytest.fixture
def sleeps() -> list[float]:
    return []


def test_process_of_a_killed_run_is_ended(tmp_path: Path, sleeps: list[float]) -> None:
    folder = run_folder(tmp_path, "r1")
    with start(str(folder)) as left:
        (folder / "ansible.pid").write_text(f"{left.pid}\n")

        def sleep(seconds: float) -> None:
            sleeps.append(seconds)
            left.wait(timeout=10)

        end_leftovers(tmp_path, sleep=sleep)
        assert left.wait(timeout=10) != 0
    assert not (folder / "ansible.pid").exists()


def test_process_with_a_number_that_is_somebody_elses_by_now_lives_on(tmp_path: Path) -> None:
    folder = run_folder(tmp_path, "r1")
    with start("another program") as other:
        (folder / "ansible.pid").write_text(f"{other.pid}\n")
        end_leftovers(tmp_path)
        assert other.poll() is None
        other.kill()
