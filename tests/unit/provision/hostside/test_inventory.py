"""Tests of the list of what is in a release."""

import os
from pathlib import Path

import pytest

from voicectl.provision.hostside.faults import Damaged, Refused
from voicectl.provision.hostside.inventory import Item, compare, decode, encode, refuse_unsafe, take_inventory

BLOB = "0f" + "a" * 62


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "release"
    (root / "venv/bin").mkdir(parents=True)
    (root / "system").mkdir()
    (root / "venv/bin/voicectl").write_text("program")
    (root / "venv/lib64").symlink_to("lib")
    (root / "system/voicectl.service").write_text("of the host")
    return root


def test_everything_but_the_hosts_own_folder_is_listed(folder: Path) -> None:
    found = take_inventory(folder, deep=True)
    assert set(found) == {"venv/bin/voicectl", "venv/lib64"}
    assert found["venv/lib64"] == Item(link="lib")
    assert found["venv/bin/voicectl"].size == 7


def test_a_list_survives_its_own_text_and_refuses_another(folder: Path, tmp_path: Path) -> None:
    import hashlib

    found = take_inventory(folder, deep=True)
    content = encode(found)
    assert decode(content, hashlib.sha256(content).hexdigest(), tmp_path) == found
    with pytest.raises(Damaged):
        decode(content + b" ", hashlib.sha256(content).hexdigest(), tmp_path)


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        (lambda root: (root / "venv/bin/voicectl").write_text("PROGRAM"), "sha256"),
        (lambda root: (root / "venv/bin/voicectl").write_text("longer program"), "14 bytes, not 7"),
        (lambda root: (root / "venv/bin/voicectl").chmod(0o755), "mode 0755"),
        (lambda root: (root / "venv/bin/voicectl").unlink(), "missing"),
        (lambda root: (root / "extra.py").write_text(""), "not part of the release"),
        (lambda root: (root / "venv/bin/sub").symlink_to("/etc"), "not part of the release"),
    ],
)
def test_every_change_is_a_difference(folder: Path, change: "object", difference: str) -> None:
    before = take_inventory(folder, deep=True)
    change(folder)  # type: ignore[operator] # one of the functions above
    assert difference in "; ".join(compare(before, take_inventory(folder, deep=True)))


def test_a_link_that_leads_elsewhere_is_a_difference(folder: Path) -> None:
    before = take_inventory(folder, deep=False)
    (folder / "venv/lib64").unlink()
    (folder / "venv/lib64").symlink_to("bin")
    assert compare(before, take_inventory(folder, deep=False)) == ["venv/lib64: leads to bin, not to lib"]


def test_without_digests_only_names_sizes_and_modes_count(folder: Path) -> None:
    before = take_inventory(folder, deep=True)
    (folder / "venv/bin/voicectl").write_text("PROGRAM")
    assert compare(before, take_inventory(folder, deep=False)) == []


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("venv/bin/python3", "/usr/bin/python3"),
        ("venv/bin/python3.11", "/usr/bin/python3.11"),
        ("data/model.bin", f"/var/lib/voicectl/blobs/sha256/0f/{BLOB}"),
        ("data/checkpoints", "/var/lib/voicectl/checkpoints"),
        ("data/gate", "/var/lib/voicectl/gate"),
        ("venv/bin/python", "python3"),
        ("data/lib", "../venv/lib"),
    ],
)
def test_links_of_a_release_lead_where_they_may(folder: Path, name: str, target: str) -> None:
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).symlink_to(target)
    refuse_unsafe(folder)


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("venv/bin/python3", "/tmp/python3"),
        ("venv/bin/sh", "/usr/bin/python3"),
        ("data/model.bin", f"/var/lib/voicectl/blobs/sha256/aa/{BLOB}"),
        ("data/model.bin", "/var/lib/voicectl/blobs/sha256/0f/../../../../etc/shadow"),
        ("data/keys", "/etc/voicectl/keys.json"),
        ("data/up", "../../../other"),
    ],
)
def test_links_that_lead_out_are_refused(folder: Path, name: str, target: str) -> None:
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).symlink_to(target)
    with pytest.raises(Refused, match="leads"):
        refuse_unsafe(folder)


@pytest.mark.parametrize("mode", [0o666, 0o664, 0o4755, 0o2755])
def test_files_that_others_may_change_or_become_are_refused(folder: Path, mode: int) -> None:
    (folder / "venv/bin/voicectl").chmod(mode)
    with pytest.raises(Refused, match="mode"):
        refuse_unsafe(folder)


def test_a_pipe_is_no_part_of_a_release(folder: Path) -> None:
    os.mkfifo(folder / "pipe", 0o600)
    with pytest.raises(Refused, match="neither file nor folder"):
        refuse_unsafe(folder)
