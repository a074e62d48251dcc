"""Tests of reading and writing lock files of Python packages."""

from pathlib import Path

import pytest

from voicectl.core.errors import ConfigError, IntegrityError
from voicectl.weights.bundle.requirements import matched, read_requirements, read_wheel, render_requirements

A, B = "a" * 64, "b" * 64
NAME = "tiny_pack-1.0-py3-none-any.whl"


def written(folder: Path, text: str) -> Path:
    path = folder / "requirements.lock"
    path.write_text(text)
    return path


def test_pins_of_pip_compile_are_read(tmp_path: Path) -> None:
    text = f"# why\nTiny.Pack==1.0 \\\n    --hash=sha256:{A} \\\n    --hash=sha256:{B}\nother==2 --hash=sha256:{B}\n"
    tiny, other = read_requirements(written(tmp_path, text))
    assert (tiny.name, tiny.version, tiny.digests) == ("tiny-pack", "1.0", frozenset({A, B}))
    assert (other.name, other.version) == ("other", "2")


@pytest.mark.parametrize("text", ["tiny==1.0\n", "tiny>=1.0 --hash=sha256:" + A, "./tiny --hash=sha256:" + A])
def test_what_is_not_pinned_by_digest_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match="not a version with digests"):
        read_requirements(written(tmp_path, text))


def test_written_pins_are_read_again(tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(b"PK")
    wheel = read_wheel(tmp_path / NAME)
    (pin,) = read_requirements(written(tmp_path, render_requirements([wheel])))
    assert pin == wheel.requirement
    assert matched([pin], tmp_path) == (wheel,)


def test_wheel_with_other_bytes_is_refused(tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(b"PK")
    pin = read_wheel(tmp_path / NAME).requirement
    (tmp_path / NAME).write_bytes(b"KP")
    with pytest.raises(IntegrityError, match="is not in the lock file"):
        matched([pin], tmp_path)


@pytest.mark.parametrize("names", [[], [NAME, "stray-1.0-py3-none-any.whl"]])
def test_missing_and_stray_wheels_are_refused(tmp_path: Path, names: list[str]) -> None:
    (tmp_path / NAME).write_bytes(b"PK")
    pin = read_wheel(tmp_path / NAME).requirement
    (tmp_path / NAME).unlink()
    for name in names:
        (tmp_path / name).write_bytes(b"PK")
    with pytest.raises(IntegrityError, match="not those of the lock file"):
        matched([pin], tmp_path)


def test_file_that_is_no_wheel_is_refused(tmp_path: Path) -> None:
    (tmp_path / "tiny.whl").write_bytes(b"PK")
    with pytest.raises(IntegrityError, match="not the name of a wheel"):
        read_wheel(tmp_path / "tiny.whl")
