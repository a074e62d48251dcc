import os
from pathlib import Path

from voicectl.engine.sockets import MAX_ADDRESS_BYTES, socket_folder


def test_folder_is_private_and_removed(short_path: Path) -> None:
    with socket_folder(short_path / "run") as folder:
        assert folder.parent == short_path / "run"
        assert folder.stat().st_mode & 0o777 == 0o700
        (folder / "0-1.sock").touch()
    assert not folder.exists()


def test_long_path_gives_way_to_a_short_one(tmp_path: Path) -> None:
    with socket_folder(tmp_path / ("x" * 90)) as folder:
        assert len(os.fsencode(folder / "10-1000.sock")) <= MAX_ADDRESS_BYTES
        assert not folder.is_relative_to(tmp_path)


def test_folder_that_others_may_write_is_not_used(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    with socket_folder(tmp_path) as folder:
        assert not folder.is_relative_to(tmp_path)


def test_path_that_cannot_be_a_folder_is_not_used(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with socket_folder(tmp_path / "file") as folder:
        assert folder.is_dir()


def test_leftovers_of_dead_gateways_are_removed(short_path: Path) -> None:
    # Process ids end at 2**22 on Linux.
    for name in ("engine-4194999-abc", f"engine-{os.getpid()}-abc", "engine-x-abc", "other"):
        (short_path / name).mkdir()
    with socket_folder(short_path) as folder:
        left = {path.name for path in short_path.iterdir()} - {folder.name}
    assert left == {f"engine-{os.getpid()}-abc", "engine-x-abc", "other"}
