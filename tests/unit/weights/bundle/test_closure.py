"""Tests of whether wheels need nothing but each other."""

import zipfile
from pathlib import Path

import pytest

from voicectl.core.errors import ConfigError
from voicectl.weights.bundle.closure import check_closure
from voicectl.weights.bundle.requirements import Wheel, read_wheel
from voicectl.weights.bundle.targets import find_target

TARGET = find_target("debian12")


def wheel(folder: Path, name: str, *lines: str, version: str = "1.0") -> Wheel:
    path = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        text = "\n".join([f"Name: {name}", f"Version: {version}", *lines, "", ""])
        archive.writestr(f"{name}-{version}.dist-info/METADATA", text)
    return read_wheel(path)


def test_wheels_that_need_each_other_alone_are_complete(tmp_path: Path) -> None:
    wheels = [
        wheel(
            tmp_path, "app", "Requires-Dist: Part.One>=1; python_version >= '3'", "Requires-Dist: nt; os_name == 'nt'"
        ),
        wheel(tmp_path, "part_one", "Requires-Dist: app", "Requires-Dist: docs; extra == 'docs'"),
    ]
    check_closure(wheels, "app", TARGET)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("Requires-Dist: absent", "app needs absent"),
        ("Requires-Dist: part<1", "app needs part<1, not 1.0"),
        # Debian 12 has 3.11.2: a lock file made on a newer 3.11 lacks what only the older one needs.
        ("Requires-Dist: backport; python_full_version < '3.11.3'", "app needs backport"),
        ("Requires-Dist: part[fast]", "part needs speedups"),
        ("Requires-Python: >=3.12", "app needs Python >=3.12, not 3.11.2"),
    ],
)
def test_what_no_wheel_gives_is_named(tmp_path: Path, line: str, words: str) -> None:
    wheels = [wheel(tmp_path, "app", line), wheel(tmp_path, "part", "Requires-Dist: speedups; extra == 'fast'")]
    with pytest.raises(ConfigError, match=words.replace("[", r"\[")):
        check_closure(wheels, "app", TARGET)
