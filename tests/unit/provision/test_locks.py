"""One run a host: the second is told who is at work, and takes no lock at all."""

from pathlib import Path

import pytest

from voicectl.core.errors import LockedError
from voicectl.provision.locks import host_locks


def test_second_run_on_a_host_is_refused_and_told_who_is_there(tmp_path: Path) -> None:
    with (
        host_locks(tmp_path, ["gw1", "gw2"], command="install"),
        pytest.raises(LockedError, match=r"gw2: another run is at work there \(install, process \d+, since 2"),
        host_locks(tmp_path, ["gw2"], command="upgrade"),
    ):
        pass


def test_refused_run_holds_none_of_its_locks(tmp_path: Path) -> None:
    with host_locks(tmp_path, ["gw2"], command="install"):
        with pytest.raises(LockedError), host_locks(tmp_path, ["gw1", "gw2"], command="upgrade"):
            pass
        with host_locks(tmp_path, ["gw1"], command="upgrade"):
            pass


def test_lock_is_free_after_its_run(tmp_path: Path) -> None:
    for _ in range(2):
        with host_locks(tmp_path, ["gw1"], command="install"):
            pass


def test_address_cannot_lead_out_of_the_folder(tmp_path: Path) -> None:
    with host_locks(tmp_path, ["../../x", "[fd00::1]:22"], command="install"):
        names = [path.parent for path in tmp_path.rglob("*.lock")]
    assert names == [tmp_path / "locks"] * 2
