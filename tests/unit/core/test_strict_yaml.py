"""Strict YAML: what hides a mistake or an attack is refused, by line."""

from pathlib import Path

import pytest

from voicectl.core.errors import ConfigError
from voicectl.core.strict_yaml import read_mapping


def read(path: Path, text: str) -> dict[str, object]:
    path.write_text(text)
    return read_mapping(path, 200, what="workload", hint="start from a built-in one")


def test_plain_keys_are_returned(tmp_path: Path) -> None:
    assert read(tmp_path / "a.yaml", "a: 1\nb: [x]\n") == {"a": 1, "b": ["x"]}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a: 1\na: 2\n", "line 2: key 'a' is given twice"),
        ("a: &x [1]\nb: *x\n", "line 2: aliases are not allowed"),
        ("a: [1\n", "line 2:"),
        ("a: 1\n[b, c]: 2\n", "line 2: a key must be plain text"),
        ("a: 2026-13-45\n", "holds a value that cannot be"),
        ("- 1\n", "holds no keys"),
        ("a: !!python/object:os.system x\n", "could not determine a constructor"),
        (f"a: {'x' * 300}\n", "is no workload; the limit is 200"),
    ],
)
def test_anything_else_is_refused_by_name(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(ConfigError) as refused:
        read(tmp_path / "a.yaml", text)
    assert str(tmp_path / "a.yaml") in refused.value.message
    assert told in refused.value.message


def test_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        read_mapping(tmp_path / "none.yaml", 10, what="workload", hint="")
