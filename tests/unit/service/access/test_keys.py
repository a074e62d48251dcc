"""Keys: their form, their state, and who is told what."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.fakes.key_files import LONG_AGO, KeyFile
from voicectl.core.errors import ConfigError, LockedError
from voicectl.service.access.denial import Denial
from voicectl.service.access.keyfile import change_keys, read_keys
from voicectl.service.access.keyring import Keyring
from voicectl.service.access.keys import ApiKey, new_key, parts_of

NOW = datetime(2030, 1, 1, tzinfo=UTC)


def test_a_key_holds_256_random_bits_and_the_file_none_of_them(tmp_path: Path) -> None:
    keys = KeyFile(tmp_path)
    presented = keys.add()
    parts = parts_of(presented)
    assert parts is not None
    assert len(parts[1]) == 43
    assert parts[1] not in keys.path.read_text()
    assert new_key("a", now=NOW)[1] != new_key("a", now=NOW)[1]


@pytest.mark.parametrize(
    "text", ["", "vk_", "vk_a", "vk_a_", "vk__a", "sk_a_b", "vk-a-b", "vk_a_é", "vk_a_" + "x" * 300, "vk_a_\ud800"]
)
def test_what_has_not_the_form_of_a_key_is_none(text: str) -> None:
    assert parts_of(text) is None


def test_a_secret_may_hold_the_separator() -> None:
    assert parts_of("vk_0123_a_b_c") == ("0123", "a_b_c")


def test_a_key_expires_at_its_instant_and_revocation_outweighs_it() -> None:
    key, _ = new_key("a", now=NOW, expires_at=NOW + timedelta(seconds=1))
    assert key.state(NOW) == "valid"
    assert key.state(NOW + timedelta(seconds=1)) == "expired"
    revoked = key.model_copy(update={"revoked_at": NOW})
    assert revoked.state(NOW + timedelta(days=1)) == "revoked"


def test_the_admin_scope_permits_everything_and_others_only_themselves() -> None:
    admin, _ = new_key("a", now=NOW, scopes=("admin",))
    chat, _ = new_key("a", now=NOW, scopes=("chat",))
    assert admin.permits("realtime")
    assert chat.permits("chat")
    assert not chat.permits("speak")


def test_only_the_holder_of_the_secret_learns_that_a_key_is_dead(tmp_path: Path) -> None:
    keys = KeyFile(tmp_path)
    expired = keys.add(expired=True)
    ring = Keyring(keys.path, 1.0)
    wrong = expired[:-1] + ("A" if expired[-1] != "A" else "B")
    for presented, code in ((expired, "expired_api_key"), (wrong, "invalid_api_key"), ("x", "invalid_api_key")):
        with pytest.raises(Denial) as denied:
            ring.find(presented, NOW)
        assert (denied.value.status, denied.value.code) == (401, code)


def test_the_file_belongs_to_its_owner_alone_also_after_changes(tmp_path: Path) -> None:
    keys = KeyFile(tmp_path)
    first = keys.add()
    assert keys.path.stat().st_mode & 0o777 == 0o600
    keys.path.chmod(0o644)
    keys.revoke(first)
    assert keys.path.stat().st_mode & 0o777 == 0o600
    assert [key.state(NOW) for key in read_keys(keys.path)] == ["revoked"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["keys.json", "keys.json.lock"]


def test_a_change_that_fails_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    keys = KeyFile(tmp_path)
    keys.add()
    before = keys.path.read_bytes()

    def fail(_: tuple[ApiKey, ...]) -> tuple[ApiKey, ...]:
        raise ConfigError("no")

    with pytest.raises(ConfigError):
        change_keys(keys.path, fail)
    assert keys.path.read_bytes() == before


def test_a_second_writer_waits_and_then_gives_up(tmp_path: Path) -> None:
    keys = KeyFile(tmp_path)

    def meanwhile(inside: tuple[ApiKey, ...]) -> tuple[ApiKey, ...]:
        with pytest.raises(LockedError):
            change_keys(keys.path, lambda inner: inner, wait_s=0.0)
        return inside

    change_keys(keys.path, meanwhile)


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", '{"version": 2}', '{"keys": [{"id": "x"}]}', '{"keys": [], "more": 1}', '{"keys": {}}', "\x00"],
)
def test_a_broken_file_is_a_configuration_error_that_names_it(tmp_path: Path, text: str) -> None:
    path = tmp_path / "keys.json"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"keys\.json"):
        read_keys(path)


def test_a_key_that_is_listed_twice_is_refused(tmp_path: Path) -> None:
    keys = KeyFile(tmp_path)
    keys.add()
    with pytest.raises(ConfigError, match="same id"):
        read_keys(_doubled(keys.path))


def _doubled(path: Path) -> Path:
    change_keys(path, lambda keys: (*keys, *keys))
    return path


def test_a_ring_follows_its_file_but_not_into_ruin(tmp_path: Path) -> None:
    keys = KeyFile(tmp_path)
    ring = Keyring(keys.path, 1.0)
    assert not ring.look()
    presented = keys.add()
    assert ring.look()
    assert ring.find(presented, NOW).id == keys.ids[presented]
    keys.path.write_text("{")
    assert ring.look()
    assert ring.find(presented, NOW)
    keys.path.unlink()
    assert ring.look()
    assert len(ring) == 1
    assert ring.is_valid(keys.ids[presented], LONG_AGO)
