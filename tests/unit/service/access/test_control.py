"""The rules put together."""

from pathlib import Path
from typing import Any

import pytest

from tests.fakes.key_files import KeyFile
from voicectl.core.errors import ConfigError
from voicectl.core.sections.access import Access
from voicectl.service.access.control import ANYBODY, AccessControl, Principal
from voicectl.service.access.denial import Denial


def control(keys: KeyFile, host: str = "127.0.0.1", **settings: Any) -> AccessControl:
    return AccessControl(keys.access(**settings), host)


def test_with_keys_a_gateway_on_loopback_asks_for_one_unless_told_otherwise(tmp_path: Path) -> None:
    keys = KeyFile(tmp_path)
    assert control(keys).identify("anything") is ANYBODY
    presented = keys.add()
    with pytest.raises(Denial):
        control(keys).identify(None)
    open_to_all = control(keys, anonymous=True)
    assert open_to_all.identify(None) is ANYBODY
    assert open_to_all.identify(presented).owner == keys.ids[presented]
    with pytest.raises(Denial):
        open_to_all.identify("wrong")


def test_the_first_key_closes_a_running_gateway_on_loopback(tmp_path: Path) -> None:
    keys = KeyFile(tmp_path)
    rules = control(keys)
    assert rules.identify(None) is ANYBODY
    keys.add()
    assert rules.keyring is not None
    assert rules.keyring.look()
    with pytest.raises(Denial):
        rules.identify(None)


@pytest.mark.parametrize(
    ("host", "settings", "starts"),
    [
        ("127.0.0.1", {}, True),
        ("0.0.0.0", {}, False),
        ("::", {}, False),
        ("gateway.example", {}, False),
        ("0.0.0.0", {"anonymous": True}, True),
        ("127.0.0.1", {"anonymous": False}, False),
        ("127.0.0.1", {"check_keys": False}, False),
        ("0.0.0.0", {"check_keys": False, "anonymous": True}, True),
    ],
)
def test_without_keys_a_gateway_starts_only_where_that_is_meant(
    tmp_path: Path, host: str, settings: dict[str, Any], starts: bool
) -> None:
    keys = KeyFile(tmp_path)
    if starts:
        assert control(keys, host, **settings).anonymous
    else:
        with pytest.raises(ConfigError):
            control(keys, host, **settings)


def test_anybody_may_do_what_callers_do_but_not_administer() -> None:
    rules = AccessControl(Access(anonymous=True, check_keys=False), "0.0.0.0")
    rules.require(ANYBODY, "chat")
    with pytest.raises(Denial):
        rules.require(ANYBODY, "admin")


def test_operators_pages_are_open_on_loopback_alone_unless_told_otherwise() -> None:
    def rules(host: str, **settings: Any) -> AccessControl:
        return AccessControl(Access(anonymous=True, check_keys=False, **settings), host)

    assert rules("127.0.0.1").is_open("metrics")
    assert not rules("0.0.0.0").is_open("metrics")
    assert rules("0.0.0.0", open_metrics=True).is_open("metrics")
    assert not rules("127.0.0.1").is_open("chat")


def test_sessions_of_a_key_are_given_back_whatever_ends_them(tmp_path: Path) -> None:
    keys = KeyFile(tmp_path)
    presented = keys.add(max_sessions=1)
    rules = control(keys)
    principal = rules.identify(presented)
    with pytest.raises(RuntimeError), rules.session_of(principal):
        with pytest.raises(Denial), rules.session_of(principal):
            pass
        raise RuntimeError
    with rules.session_of(principal), rules.session_of(Principal()):
        pass
