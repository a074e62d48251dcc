"""Tests of writing bundles: the same files give the same bytes, and a failure leaves nothing."""

import os
from pathlib import Path

import pytest

from tests.fakes.small_bundle import CONTENT, make_bundle, manifest_of, placed_files
from voicectl.core.errors import ConfigError
from voicectl.weights.bundle.write import Placed, listed, write_bundle


def test_times_owners_and_order_do_not_change_a_byte(tmp_path: Path) -> None:
    make_bundle(tmp_path / "one" / "small.vcb")
    placed = placed_files(tmp_path / "two" / "files", dict(reversed(CONTENT.items())))
    for file in placed:
        os.utime(file.source, (1, 1))
        file.source.chmod(0o600)
    write_bundle(tmp_path / "two" / "small.vcb", manifest_of(placed), placed)
    assert (tmp_path / "one" / "small.vcb").read_bytes() == (tmp_path / "two" / "small.vcb").read_bytes()


def test_file_that_changes_meanwhile_leaves_no_bundle(tmp_path: Path) -> None:
    placed = placed_files(tmp_path / "files")
    manifest = manifest_of(placed)
    placed[0].source.write_bytes(b"another")
    with pytest.raises(ConfigError, match="changed while the bundle was written"):
        write_bundle(tmp_path / "small.vcb", manifest, placed)
    assert not list(tmp_path.glob("*.vcb*"))
    assert not list(tmp_path.glob(".*"))


def test_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    placed = placed_files(tmp_path / "files")
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be written"):
        write_bundle(tmp_path / "file" / "small.vcb", manifest_of(placed), placed)


@pytest.mark.parametrize("name", ["a b", ".hidden"])
def test_name_that_a_bundle_cannot_hold_is_refused_when_it_is_built(tmp_path: Path, name: str) -> None:
    (tmp_path / "x").write_text("x")
    with pytest.raises(ConfigError, match="cannot be part of a bundle"):
        listed([Placed(name, tmp_path / "x")])


def test_empty_file_is_refused_when_it_is_built(tmp_path: Path) -> None:
    (tmp_path / "x").touch()
    with pytest.raises(ConfigError, match="cannot be part of a bundle"):
        listed([Placed("x", tmp_path / "x")])
