"""Tests of the small parts: names, folders, durable files, the lock, settings, sound, configuration, the program."""

import array
import json
import os
import subprocess
import sys
import wave
import zipfile
from pathlib import Path

import pytest

from voicectl.provision.hostside import configuration
from voicectl.provision.hostside.call import read_key
from voicectl.provision.hostside.durable import append_line, point, remove_tree, write_atomically
from voicectl.provision.hostside.faults import BadUsage, Damaged, Locked, Refused, TaskFailed
from voicectl.provision.hostside.layout import Layout, checked_id, refuse_unsafe_folder
from voicectl.provision.hostside.lock import exclusive, holder
from voicectl.provision.hostside.manifest import parse_manifest
from voicectl.provision.hostside.settings import ServiceSettings, read_settings
from voicectl.provision.hostside.sound import agent_side
from voicectl.provision.hostside.state import State, decode, encode
from voicectl.provision.program import write_program


@pytest.mark.parametrize("name", ["1.0.0-0f3a9c41d2b7", "0.4.0.dev1-0123456789ab", "12-aaaaaaaaaaaa"])
def test_names_of_releases_are_accepted(name: str) -> None:
    assert checked_id(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "1.0.0",
        "1..0-0f3a9c41d2b7",
        "../1-0f3a9c41d2b7",
        "1/0-0f3a9c41d2b7",
        "1-0F3A9C41D2B7",
        "1-0f3a9c41d2b7\n",
        "1 0-0f3a9c41d2b7",
        "-1-0f3a9c41d2b7",
        "1+x-0f3a9c41d2b7",
        "1@2-0f3a9c41d2b7",
    ],
)
def test_other_names_are_no_releases(name: str) -> None:
    with pytest.raises(BadUsage):
        checked_id(name)


def test_a_folder_that_others_may_change_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "inner"
    folder.mkdir()
    refuse_unsafe_folder(folder)
    folder.chmod(0o777)
    with pytest.raises(Refused, match="changed by others"):
        refuse_unsafe_folder(folder)


def test_a_link_in_place_of_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    with pytest.raises(Refused, match="no real folder"):
        refuse_unsafe_folder(tmp_path / "link")


def test_a_file_is_replaced_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    (tmp_path / ".state.json.fresh").write_text("left by a power cut")
    write_atomically(path, b"one")
    write_atomically(path, b"two", 0o644)
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"two", 0o644)
    assert [*tmp_path.iterdir()] == [path]


def test_a_torn_line_does_not_swallow_the_next_one(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    append_line(path, "one")
    with path.open("a") as file:
        file.write("tor")
    append_line(path, "two")
    assert path.read_text() == "one\ntor\ntwo\n"


def test_a_link_is_moved_over_leftovers(tmp_path: Path) -> None:
    link = tmp_path / "current"
    (tmp_path / ".current.fresh").symlink_to("left over")
    point(link, "releases/a")
    point(link, "releases/b")
    assert str(link.readlink()) == "releases/b"


def test_removing_a_folder_clears_an_earlier_try(tmp_path: Path) -> None:
    for name in ("a", ".trash-a"):
        (tmp_path / name / "inner").mkdir(parents=True)
    remove_tree(tmp_path / "a")
    assert [*tmp_path.iterdir()] == []


def test_a_second_run_is_told_who_holds_the_lock(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    assert holder(path) is None
    with exclusive(path, "activate 1", "noon"):
        assert "activate 1" in (holder(path) or "")
        with (
            pytest.raises(Locked, match=f"`activate 1` \\(process {os.getpid()}, since noon\\)"),
            exclusive(path, "x", ""),
        ):
            pass
    assert holder(path) is None
    with exclusive(path, "again", "later"):
        pass


def test_settings_have_defaults_and_ignore_what_others_need(tmp_path: Path) -> None:
    assert read_settings(tmp_path) == ServiceSettings()
    (tmp_path / "service.json").write_text(json.dumps({"url": "https://voice.lan:8443/", "profile": "cpu"}))
    found = read_settings(tmp_path)
    assert (found.url, found.gate_url) == ("https://voice.lan:8443", "http://127.0.0.1:18080")


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        "{",
        '{"url": "file:///etc/passwd"}',
        '{"gate_port": 0}',
        '{"gate_port": true}',
        '{"ready_s": -1}',
        '{"call_s": "60"}',
        '{"user": 7}',
        '{"max_v2v_ms": 0}',
    ],
)
def test_settings_that_cannot_be_meant_are_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "service.json").write_text(text)
    with pytest.raises(Refused, match=r"service\.json"):
        read_settings(tmp_path)


def test_a_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "gate.key"
    assert read_key(path) is None
    path.write_text("vk_1\n")
    path.chmod(0o600)
    assert read_key(path) == "vk_1"
    path.chmod(0o640)
    with pytest.raises(Refused, match="others than its owner"):
        read_key(path)


def record(path: Path, right: list[int]) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(array.array("h", [value for sample in right for value in (9999, sample)]).tobytes())
    return path


def test_only_the_agents_side_counts_and_silence_does_not_thin_it_out(tmp_path: Path) -> None:
    side = agent_side(record(tmp_path / "call.wav", [0] * 8000 + [3277, -3277] * 100 + [0] * 8000))
    assert side.rms == pytest.approx(0.1, abs=0.001)
    assert len(side.voiced(0.1).samples) == 200 - 1 + 2 * 800
    with wave.open(str(tmp_path / "call.wav")) as file:
        assert file.getnframes() == 16_200


def test_a_silent_side_has_no_level_and_no_sound(tmp_path: Path) -> None:
    side = agent_side(record(tmp_path / "call.wav", [0, 5, -5] * 100))
    assert (side.rms, len(side.voiced().samples)) == (0.0, 0)


def test_what_is_no_record_of_a_call_is_a_failed_task(tmp_path: Path) -> None:
    (tmp_path / "call.wav").write_bytes(b"RIFF")
    with pytest.raises(TaskFailed):
        agent_side(tmp_path / "call.wav")


def test_edited_added_and_removed_configuration_is_named(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    for folder in ("etc/voicectl", "etc/systemd/system"):
        (tmp_path / folder).mkdir(parents=True)
    host, timer = tmp_path / "etc/voicectl/host.yaml", tmp_path / "etc/systemd/system/voicectl-verify.timer"
    host.write_text("a: 1")
    timer.write_text("[Timer]")
    (tmp_path / "etc/voicectl/keys.json").write_text("changes by itself")
    known = configuration.accepted({}, layout, everything=False)
    assert set(known) == {"/etc/voicectl/host.yaml", "/etc/systemd/system/voicectl-verify.timer"}
    host.write_text("a: 2")
    timer.unlink()
    (tmp_path / "etc/voicectl/other.yaml").write_text("")
    assert configuration.differences(known, configuration.read_configuration(layout)) == [
        "/etc/systemd/system/voicectl-verify.timer: removed",
        "/etc/voicectl/host.yaml: edited by hand",
        "/etc/voicectl/other.yaml: added by hand",
    ]


def test_an_installation_accepts_its_own_files_and_not_those_of_people(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    host, program = tmp_path / "etc/voicectl/host.yaml", tmp_path / "opt/voicectl/lib/release.pyz"
    for path in (host, program):
        path.parent.mkdir(parents=True)
        path.write_text("first")
    known = configuration.accepted({}, layout, everything=False)
    host.write_text("edited")
    program.write_text("newer")
    known = configuration.accepted(known, layout, everything=False)
    assert configuration.differences(known, configuration.read_configuration(layout)) == [
        "/etc/voicectl/host.yaml: edited by hand"
    ]
    known = configuration.accepted(known, layout, everything=True)
    assert configuration.differences(known, configuration.read_configuration(layout)) == []


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"{}", b'{"schema": 2}', encode(State()).replace(b'"taint"', b'"stain"')]
)
def test_a_state_that_cannot_be_read_is_damage(content: bytes) -> None:
    with pytest.raises(Damaged):
        decode(content)


@pytest.mark.parametrize("path", ["/etc/passwd", "../x", "a/../../x", ""], ids=["absolute", "up", "up inside", "empty"])
def test_a_manifest_whose_paths_lead_out_is_damage(path: str) -> None:
    import hashlib

    entry = {"path": path, "size": 1, "sha256": "0" * 64}
    content = json.dumps({"version": "1", "serial": 1, "files": [entry]}).encode()
    with pytest.raises(Damaged, match="leads out"):
        parse_manifest(content, f"1-{hashlib.sha256(content).hexdigest()[:12]}")


def test_a_manifest_that_did_not_name_the_release_is_damage() -> None:
    with pytest.raises(Damaged, match="has the digest"):
        parse_manifest(b"{}", "1-000000000000")


def test_the_program_is_one_file_that_is_always_the_same(tmp_path: Path) -> None:
    write_program(tmp_path / "a.pyz")
    write_program(tmp_path / "b.pyz")
    assert (tmp_path / "a.pyz").read_bytes() == (tmp_path / "b.pyz").read_bytes()
    assert "__main__.py" in zipfile.ZipFile(tmp_path / "a.pyz").namelist()


def test_the_program_needs_nothing_but_the_standard_library(tmp_path: Path) -> None:
    write_program(tmp_path / "release.pyz")
    done = subprocess.run(
        [sys.executable, "-I", "-S", tmp_path / "release.pyz", "--root", "relative", "status"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert json.loads(done.stdout)["error"]["exit_code"] == 2
    assert "hint" in done.stderr
