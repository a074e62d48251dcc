"""Tests of choosing package sources: only Debian's own archives, for the release that is asked for."""

from pathlib import Path

import pytest

from voicectl.core.errors import ConfigError
from voicectl.weights.bundle.aptsources import host_sources, read_sources, release_sources

ONE_LINE = """\
# a comment
deb http://mirror.example/debian bookworm main
deb [signed-by=/k.gpg] http://mirror.example/debian-security bookworm-security main
deb-src http://mirror.example/debian bookworm main
deb http://vendor.example/apt vendor-bookworm main
deb http://mirror.example/debian bookworm-backports main
"""
STANZAS = """\
Types: deb
# an archive
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main

Types: deb
URIs: http://vendor.example/node
Suites: nodistro
Components: main
"""


def test_only_archives_of_the_release_are_chosen() -> None:
    assert release_sources({"sources.list": ONE_LINE}, "bookworm")["sources.list"].splitlines() == [
        "deb http://mirror.example/debian bookworm main",
        "deb [signed-by=/k.gpg] http://mirror.example/debian-security bookworm-security main",
    ]
    chosen = release_sources({"debian.sources": STANZAS}, "bookworm")["debian.sources"]
    assert "mirror.example" in chosen
    assert "vendor" not in chosen
    assert "#" not in chosen


def test_another_release_is_asked_for_at_the_same_archives() -> None:
    chosen = release_sources({"a.list": ONE_LINE, "b.sources": STANZAS}, "trixie")
    assert "deb http://mirror.example/debian trixie main" in chosen["a.list"]
    assert "Suites: trixie trixie-updates" in chosen["b.sources"]
    assert "bookworm" not in chosen["a.list"] + chosen["b.sources"]


def test_host_without_a_debian_archive_is_refused() -> None:
    with pytest.raises(ConfigError, match="no package source of a Debian release") as caught:
        release_sources({"a.list": "deb http://vendor.example/apt stable main\n"}, "bookworm")
    assert "--apt-sources" in str(caught.value.hint)


def test_sources_of_a_host_are_all_of_apt(tmp_path: Path) -> None:
    (tmp_path / "sources.list.d").mkdir()
    for name in ("sources.list", "sources.list.d/a.list", "sources.list.d/b.sources", "sources.list.d/c.save"):
        (tmp_path / name).write_text(name)
    assert sorted(host_sources(tmp_path)) == ["a.list", "b.sources", "sources.list"]


def test_named_file_of_sources_may_have_any_name(tmp_path: Path) -> None:
    (tmp_path / "mirror").write_text(ONE_LINE)
    assert read_sources(tmp_path / "mirror") == {"mirror.list": ONE_LINE}
    with pytest.raises(ConfigError, match="cannot be read"):
        read_sources(tmp_path / "absent")
