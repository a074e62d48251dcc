"""Tests of the folders on this host."""

import os
from pathlib import Path

import pytest

from voicectl.core import paths


def test_home_variable_moves_every_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("VOICECTL_HOME", str(tmp_path))
    folders = [paths.store_path(), paths.config_path(), paths.runtime_path(), paths.cache_path()]
    assert folders == [tmp_path, tmp_path / "etc", tmp_path / "run", tmp_path / "cache"]


def test_relative_home_becomes_absolute(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VOICECTL_HOME", "here")
    assert paths.store_path() == Path.cwd() / "here"


def test_root_uses_the_system_folders(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VOICECTL_HOME", raising=False)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert paths.store_path() == Path("/var/lib/voicectl")
    assert paths.config_path() == Path("/etc/voicectl")
    assert paths.runtime_path() == Path("/run/voicectl")


def test_anyone_else_uses_the_xdg_folders(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("VOICECTL_HOME", raising=False)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    assert paths.store_path() == tmp_path / "data" / "voicectl"
    assert paths.config_path() == tmp_path / "config" / "voicectl"


def test_sockets_never_go_to_a_folder_that_others_can_guess(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("VOICECTL_HOME", raising=False)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    assert paths.runtime_path() == tmp_path / "cache" / "voicectl" / "run"
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "session"))
    assert paths.runtime_path() == tmp_path / "session" / "voicectl"
