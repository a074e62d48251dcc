"""Fields are dropped, masked or hashed by name, tagged values by tag."""

from pathlib import Path

import pytest

from voicectl.core.errors import ConfigError
from voicectl.core.tagged import phi
from voicectl.governance.redact.policy import Policy, read_key
from voicectl.governance.redact.redactor import PolicyRedactor

REDACTOR = PolicyRedactor(
    Policy(fields={"caller": "hash", "note": "drop", "ticket": "keep", "name": "mask"}, tags={"phi": "mask"}, key=b"k")
)


def test_a_field_is_dropped_masked_hashed_or_kept_by_its_name() -> None:
    fields = {name: REDACTOR.field(name, "Ann 4111 1111 1111 1111") for name in ("caller", "note", "name")}
    assert fields["note"] is None
    assert fields["name"] == "[name]"
    assert len(fields["caller"]) == 32
    assert REDACTOR.field("ticket", "42") == "42"


def test_a_field_that_is_kept_is_no_place_for_card_numbers() -> None:
    assert REDACTOR.field("ticket", "4111111111111111") == "[card number]"


def test_a_tagged_value_is_never_printed() -> None:
    assert f"{phi('insulin')} {phi('insulin')!s} {phi('insulin')!r}" == "[phi] [phi] [phi]"
    assert REDACTOR.field("drug", phi("insulin")) == "[phi]"


def test_values_inside_of_others_are_reached() -> None:
    nested = {"a": [{"note": "x", "card": 4111111111111111}], "ok": True, "n": 3, "t": phi("x")}
    assert REDACTOR.field("body", nested) == {
        "a": [{"note": None, "card": "[card number]"}],
        "ok": True,
        "n": 3,
        "t": "[phi]",
    }


def test_card_numbers_cannot_be_kept_by_policy() -> None:
    with pytest.raises(ConfigError, match="never kept"):
        Policy(kinds={"card": "keep"})


def test_hashing_without_a_key_is_refused() -> None:
    with pytest.raises(ConfigError, match="no key"):
        Policy(fields={"caller": "hash"})


def test_a_key_is_made_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "redaction.key"
    key = read_key(path)
    assert read_key(path) == key
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "redaction.key"
    read_key(path)
    path.chmod(0o644)
    with pytest.raises(ConfigError, match="others can read"):
        read_key(path)


@pytest.mark.parametrize("content", ["", "zz" * 32, "ab" * 8])
def test_a_file_that_is_no_key_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "redaction.key"
    path.touch(0o600)
    path.write_text(content)
    with pytest.raises(ConfigError):
        read_key(path)
