"""Options of an operator become settings of ssh that never ask and never believe a changed key."""

from pathlib import Path

import pytest

from voicectl.core.errors import UsageError
from voicectl.provision.hosts import Host, local_host, parse_host
from voicectl.provision.ssh import SshOptions, with_root


def option(options: SshOptions, name: str) -> list[str]:
    return [word.partition("=")[2] for word in options.arguments() if word.startswith(f"{name}=")]


def test_nothing_is_ever_asked() -> None:
    assert option(SshOptions(), "BatchMode") == ["yes"]


def test_new_hosts_are_believed_and_changed_keys_are_not() -> None:
    assert option(SshOptions(), "StrictHostKeyChecking") == ["accept-new"]
    assert SshOptions().environment(Path("/tmp/x"))["ANSIBLE_HOST_KEY_CHECKING"] == "True"


def test_given_known_hosts_are_the_only_ones_believed(tmp_path: Path) -> None:
    options = SshOptions(known_hosts=tmp_path)
    assert option(options, "StrictHostKeyChecking") == ["yes"]
    assert option(options, "UserKnownHostsFile") == [str(tmp_path)]


def test_given_key_is_the_only_one_offered(tmp_path: Path) -> None:
    options = SshOptions(key=tmp_path / "k")
    assert option(options, "IdentitiesOnly") == ["yes"]
    assert options.environment(Path("/x"))["ANSIBLE_PRIVATE_KEY_FILE"] == str(tmp_path / "k")


def test_password_of_sudo_is_named_by_its_file_and_not_read(tmp_path: Path) -> None:
    environment = SshOptions(become_password_file=tmp_path / "p").environment(Path("/x"))
    assert environment["ANSIBLE_BECOME_PASSWORD_FILE"] == str(tmp_path / "p")


@pytest.mark.parametrize("name", ["key", "config", "known_hosts", "become_password_file"])
def test_missing_file_is_named_with_its_option(name: str) -> None:
    with pytest.raises(UsageError, match="/nowhere: no such file"):
        SshOptions(**{name: Path("/nowhere")}).checked()  # type: ignore[arg-type]


def test_paths_do_not_depend_on_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "k").touch()
    monkeypatch.chdir(tmp_path)
    assert SshOptions(key=Path("k"), user="ops").checked() == SshOptions(key=tmp_path / "k", user="ops")


def test_root_needs_no_sudo_and_everybody_else_does() -> None:
    hosts = with_root([parse_host("root@a"), parse_host("ops@b"), local_host()], SshOptions())
    assert [host.variables.get("ansible_become") for host in hosts] == [False, True, None]


def test_inventory_decides_before_the_command_line() -> None:
    host = Host("a", {"ansible_user": "root"})
    assert with_root([host], SshOptions(user="ops"))[0].variables["ansible_become"] is False
