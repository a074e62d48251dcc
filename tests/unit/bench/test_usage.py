"""What processes cost is read from their own accounts, descendants included."""

from pathlib import Path

import pytest

from voicectl.bench.usage import Usage, busiest, family, open_files, spent_between, usage_of


def account(
    proc: Path, pid: int, parent: int, ticks: int, *, command: str = "x", maps: str = "", name: str = "x"
) -> None:
    folder = proc / str(pid)
    (folder / "fd").mkdir(parents=True)
    (folder / "fd" / "0").touch()
    blank = " ".join(["0"] * 9)
    (folder / "stat").write_text(f"{pid} ({name}) S {parent} {blank} {ticks} 0 {' '.join(['0'] * 8)} 256 0")
    (folder / "cmdline").write_bytes("\0".join(command.split()).encode())
    (folder / "maps").write_text(maps)


def test_workers_are_named_by_the_models_they_host(tmp_path: Path) -> None:
    worker = "python -P -m voicectl.engine.worker"
    account(tmp_path, 1, 0, 10, command="python -m voicectl serve --json")
    account(tmp_path, 2, 1, 10, command=worker, maps="/lib/libctranslate2.so\n/lib/onnxruntime.so")
    account(tmp_path, 3, 1, 10, command=worker, maps="/lib/onnxruntime.so")
    account(tmp_path, 4, 1, 10, command=worker, maps="/lib/libllama.so\n/lib/espeakbridge.so")
    names = {pid: found.name for pid in (1, 2, 3, 4) if (found := usage_of(pid, tmp_path)) is not None}
    assert names == {1: "gateway", 2: "stt", 3: "turn", 4: "llm+tts"}


def test_a_name_with_brackets_and_blanks_does_not_shift_the_account(tmp_path: Path) -> None:
    account(tmp_path, 7, 3, 250, name="odd) (name 1 2 3")
    found = usage_of(7, tmp_path)
    assert found is not None
    assert (found.parent, found.cpu_s > 0, found.name) == (3, True, "odd) (name 1 2 3")


def test_family_is_a_process_and_all_below_it(tmp_path: Path) -> None:
    for pid, parent in ((9, 5), (5, 2), (2, 1), (8, 1), (1, 0)):
        account(tmp_path, pid, parent, 1)
    assert set(family(2, tmp_path)) == {2, 5, 9}


def test_a_process_that_is_gone_has_no_account(tmp_path: Path) -> None:
    assert usage_of(99, tmp_path) is None


def test_what_was_spent_is_a_share_of_the_time_in_between() -> None:
    before = {1: Usage(1, 0, "gateway", 4.0, 10)}
    after = [Usage(1, 0, "gateway", 5.0, 20), Usage(2, 1, "stt", 3.0, 30)]
    spent = spent_between(before, after, 2.0)
    assert [(one.name, one.cores, one.rss_bytes) for one in spent] == [
        ("stt", pytest.approx(1.5), 30),
        ("gateway", pytest.approx(0.5), 20),
    ]


def test_open_files_are_counted(tmp_path: Path) -> None:
    account(tmp_path, 3, 0, 1)
    assert open_files(3, tmp_path) == 1


def test_a_worker_and_its_spare_are_one_in_the_account_and_the_busy_one_serves() -> None:
    worker, spare = Usage(1, 0, "stt", 5.0, 10), Usage(2, 0, "stt", 0.5, 4)
    spent = spent_between({1: Usage(1, 0, "stt", 4.0, 10)}, [worker, spare], 1.0)
    assert [(one.name, one.cores, one.rss_bytes) for one in spent] == [("stt", pytest.approx(1.5), 14)]
    assert busiest([spare, worker], "stt") is worker
    assert busiest([Usage(3, 0, "llm+tts", 1.0, 1)], "tts") is not None
    assert busiest([worker], "llm") is None
