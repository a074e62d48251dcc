"""The modules of the playbooks place only what has the right digest, whole, and change nothing the second time."""

import hashlib
import importlib.util
import io
import sys
import tarfile
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

pytestmark = pytest.mark.integration

PLAYBOOKS = Path(__file__).parents[2] / "playbooks"


def load(path: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(Path(path).stem, PLAYBOOKS / path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Data classes look their module up by its name.
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def place() -> ModuleType:
    return load("library/voicectl_place.py")


def wanted(path: str, content: bytes) -> dict[str, Any]:
    return {"path": path, "size": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def params(into: Path, files: list[dict[str, Any]], **more: object) -> dict[str, Any]:
    given = {"into": str(into), "mode": "0444", "files": files, "folders": [], "exact": False, "reuse": "", "links": {}}
    return {**given, **more}


def archive(path: Path, members: dict[str, bytes], link: str | None = None) -> Path:
    with tarfile.open(path, "w") as tar:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
        if link is not None:
            member = tarfile.TarInfo(link)
            member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
            tar.addfile(member)
    return path


def test_missing_files_are_placed_once(place: ModuleType, tmp_path: Path) -> None:
    files = [wanted("blobs/a", b"one"), wanted("blobs/b", b"two")]
    into = tmp_path / "store"
    asked = place.inspect(params(into, files), change=True)
    assert asked["missing"] == ["blobs/a", "blobs/b"]
    sent = archive(tmp_path / "sent.tar", {"blobs/a": b"one", "blobs/b": b"two"})
    assert place.unpack(params(into, files, archive=str(sent)))["changed"]
    assert (into / "blobs/a").read_bytes() == b"one"
    assert (into / "blobs/a").stat().st_mode & 0o777 == 0o444
    assert not place.inspect(params(into, files), change=True)["changed"]


def test_bytes_with_another_digest_never_get_the_name(place: ModuleType, tmp_path: Path) -> None:
    files = [wanted("blobs/a", b"right")]
    sent = archive(tmp_path / "sent.tar", {"blobs/a": b"wrong"})
    with pytest.raises(ValueError, match="the manifest says"):
        place.unpack(params(tmp_path / "store", files, archive=str(sent)))
    assert [path for path in (tmp_path / "store").rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("name", ["blobs/b", "../outside", "/etc/outside"])
def test_member_that_nobody_asked_for_is_refused(place: ModuleType, tmp_path: Path, name: str) -> None:
    sent = archive(tmp_path / "sent.tar", {name: b"one"})
    with pytest.raises(ValueError, match="nobody asked"):
        place.unpack(params(tmp_path / "store", [wanted("blobs/a", b"one")], archive=str(sent)))
    assert not (tmp_path / "outside").exists()


def test_link_in_the_archive_is_refused(place: ModuleType, tmp_path: Path) -> None:
    sent = archive(tmp_path / "sent.tar", {}, link="blobs/a")
    with pytest.raises(ValueError, match="not a regular file"):
        place.unpack(params(tmp_path / "store", [wanted("blobs/a", b"one")], archive=str(sent)))


def test_damaged_file_is_asked_for_again_and_wrong_mode_put_right(place: ModuleType, tmp_path: Path) -> None:
    files = [wanted("a", b"one"), wanted("b", b"two")]
    (tmp_path / "a").write_bytes(b"onE")
    (tmp_path / "b").write_bytes(b"two")
    (tmp_path / "b").chmod(0o666)
    found = place.inspect(params(tmp_path, files), change=True)
    assert found["missing"] == ["a"]
    assert (tmp_path / "b").stat().st_mode & 0o777 == 0o444


def test_file_of_another_release_is_linked_instead_of_sent(place: ModuleType, tmp_path: Path) -> None:
    old, new = tmp_path / "releases/1", tmp_path / "releases/2"
    (old / "wheels").mkdir(parents=True)
    (old / "wheels/a.whl").write_bytes(b"one")
    (old / "wheels/b.whl").write_bytes(b"old")
    files = [wanted("wheels/a.whl", b"one"), wanted("wheels/b.whl", b"new")]
    found = place.inspect(params(new, files, reuse=f"{tmp_path}/releases/*"), change=True)
    assert found["missing"] == ["wheels/b.whl"]
    assert (new / "wheels/a.whl").samefile(old / "wheels/a.whl")


def test_check_mode_tells_and_changes_nothing(place: ModuleType, tmp_path: Path) -> None:
    links = {str(tmp_path / "models/m/a"): str(tmp_path / "a")}
    found = place.inspect(params(tmp_path / "none", [wanted("a", b"one")], links=links), change=False)
    assert found["changed"]
    assert list(tmp_path.iterdir()) == []


def test_extra_files_and_links_are_put_right(place: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "wheels").mkdir()
    (tmp_path / "wheels/evil.whl").write_bytes(b"x")
    links = {str(tmp_path / "models/m/a"): "/var/lib/voicectl/blobs/a"}
    asked = params(tmp_path, [], folders=["wheels/"], exact=True, links=links)
    assert place.inspect(asked, change=True)["changed"]
    assert not (tmp_path / "wheels/evil.whl").exists()
    assert str((tmp_path / "models/m/a").readlink()) == "/var/lib/voicectl/blobs/a"
    assert not place.inspect(asked, change=True)["changed"]


def test_unfinished_environment_is_not_taken_for_finished(tmp_path: Path) -> None:
    venv = load("library/voicectl_venv.py")
    (tmp_path / "venv").mkdir()
    (tmp_path / "requirements.txt").write_text("a==1 --hash=sha256:00\n")
    digest = venv.wanted_digest(tmp_path)
    assert not venv.is_finished(tmp_path, digest)
    venv.mark(tmp_path / "venv" / venv.MARKER, digest)
    assert venv.is_finished(tmp_path, digest)
    (tmp_path / "requirements.txt").write_text("a==2 --hash=sha256:00\n")
    assert not venv.is_finished(tmp_path, venv.wanted_digest(tmp_path))


def test_space_is_added_up_for_each_file_system(tmp_path: Path) -> None:
    survey = load("library/voicectl_survey.py")
    needed = {str(tmp_path / "a/b"): 10, str(tmp_path / "c"): 20}
    (found,) = survey.file_systems(needed)
    assert (found["needed_mb"], found["short_mb"]) == (30, max(0, 30 - found["free_mb"]))
    (full,) = survey.file_systems({str(tmp_path): found["free_mb"] + 1000})
    assert full["short_mb"] > 0


def test_a_file_that_lost_its_content_with_the_power_counts_as_missing(tmp_path: Path) -> None:
    survey = load("library/voicectl_survey.py")
    (tmp_path / "empty").touch()
    (tmp_path / "whole").write_text("key")
    found = [name for name in ("missing", "empty", "whole", ".") if survey.holds_something(tmp_path / name)]
    assert found == ["whole"]


@pytest.mark.parametrize(("there", "after"), [(None, "new"), ("", "new"), ("theirs", "theirs")])
def test_a_file_to_be_kept_loses_nothing_but_emptiness(tmp_path: Path, there: str | None, after: str) -> None:
    files = load("library/voicectl_files.py")
    path = tmp_path / "keys.json"
    if there is not None:
        path.write_text(there)
    given = {"path": str(path), "content": "new", "mode": "0600", "owner": path.parent.owner(), "keep": True}
    file = files.WantedFile.of(given)
    if not file.is_right():
        file.write()
    assert path.read_text() == after
    assert path.stat().st_mode & 0o777 == 0o600
    assert files.WantedFile.of({**given, "content": "newer"}).is_right()
