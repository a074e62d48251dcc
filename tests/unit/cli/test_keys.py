"""`voicectl keys` on a file of its own."""

import json
from pathlib import Path
from typing import Any

import pytest

from voicectl.cli.main import main
from voicectl.service.access.keyfile import read_keys


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VOICECTL_HOME", str(tmp_path))
    return tmp_path / "etc" / "keys.json"


def document(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    parsed: dict[str, Any] = json.loads(capsys.readouterr().out)
    return parsed


def test_a_key_is_printed_once_and_only_its_hash_is_kept(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        main(["keys", "create", "--name", "desk", "--expires", "90d", "--rpm", "60", "--sessions", "3", "--json"]) == 0
    )
    made = document(capsys)
    (key,) = read_keys(path)
    assert key.matches(made["key"].split("_", 2)[2])
    assert (key.name, key.requests_per_minute, key.max_sessions) == ("desk", 60, 3)
    assert key.expires_at is not None
    assert (key.expires_at - key.created_at).days == 90
    assert main(["keys", "list", "--json"]) == 0
    shown = document(capsys)
    assert shown["keys"][0]["state"] == "valid"
    assert "sha256" not in shown["keys"][0]
    assert made["key"] not in json.dumps(shown)


def test_for_people_stdout_is_the_key_alone(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["keys", "create", "--name", "desk"]) == 0
    assert capsys.readouterr().out.strip().startswith(f"vk_{read_keys(path)[0].id}_")
    assert main(["keys", "list"]) == 0
    assert "desk" in capsys.readouterr().out


def test_a_revoked_key_stays_listed(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["keys", "create", "--name", "desk", "--json"])
    key_id = document(capsys)["id"]
    assert main(["keys", "revoke", key_id, "--json"]) == 0
    first = document(capsys)
    assert first["state"] == "revoked"
    assert main(["keys", "revoke", key_id, "--json"]) == 0
    assert document(capsys)["revoked_at"] == first["revoked_at"]
    assert [key.revoked_at is not None for key in read_keys(path)] == [True]


@pytest.mark.parametrize(
    "arguments",
    [
        ["create"],
        ["create", "--name", " "],
        ["create", "--name", "a\nb"],
        ["create", "--name", "x" * 101],
        ["create", "--name", "a", "--scope", "god"],
        ["create", "--name", "a", "--expires", "soon"],
        ["create", "--name", "a", "--expires", "0d"],
        ["create", "--name", "a", "--rpm", "0"],
        ["revoke", "nope"],
    ],
)
def test_what_cannot_be_meant_is_a_usage_error(path: Path, arguments: list[str]) -> None:
    assert main(["keys", *arguments]) == 2
    assert read_keys(path) == ()


def test_scopes_are_kept_in_one_order_and_once(path: Path) -> None:
    assert main(["keys", "create", "--name", "a", "--scope", "metrics", "--scope", "chat", "--scope", "chat"]) == 0
    assert read_keys(path)[0].scopes == ("chat", "metrics")
