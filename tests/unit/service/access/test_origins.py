"""Which pages may connect, and where a key is looked for."""

import pytest

from voicectl.service.access.credentials import presented_key
from voicectl.service.access.middleware import scope_of
from voicectl.service.access.origins import is_loopback, listed, may_connect

LISTED = ("https://desk.example.com",)


@pytest.mark.parametrize(
    ("origin", "host", "on_loopback", "allowed"),
    [
        ("https://desk.example.com", "10.0.0.1", False, True),
        ("http://desk.example.com", "10.0.0.1", False, False),
        ("https://desk.example.com.evil.org", "10.0.0.1", False, False),
        ("http://localhost:3000", "127.0.0.1:8080", True, True),
        ("http://127.9.9.9", "127.0.0.1:8080", True, True),
        ("http://[::1]:1", "localhost", True, True),
        ("http://localhost:3000", "10.0.0.1", False, False),
        ("http://localhost.evil.org", "127.0.0.1:8080", True, False),
        ("http://10.0.0.1:8080", "10.0.0.1:8080", False, True),
        ("http://10.0.0.1:8080", "10.0.0.1:9090", False, False),
        ("http://10.0.0.1:8080", None, False, False),
        ("http://name.example", "name.example", False, False),
        ("null", "127.0.0.1", True, False),
        ("", "127.0.0.1", True, False),
        ("file://", "127.0.0.1", True, False),
        ("http://[", "127.0.0.1", True, False),
        ("chrome-extension://localhost", "127.0.0.1", True, False),
    ],
)
def test_pages_may_connect_from(origin: str, host: str | None, on_loopback: bool, allowed: bool) -> None:
    assert may_connect(origin, host, LISTED, on_loopback=on_loopback) is allowed


def test_a_star_lists_every_page() -> None:
    assert listed("null", ("*",), on_loopback=False)


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST", "127.0.0.1", "127.1.2.3", "::1"])
def test_loopback_is_this_machine(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "localhost.example", "", "127.0.0.1.example"])
def test_everything_else_is_the_network(host: str) -> None:
    assert not is_loopback(host)


def test_a_key_comes_from_headers_or_the_subprotocol_in_this_order() -> None:
    offered = ("realtime", "openai-insecure-api-key.c")
    assert presented_key("Bearer a", "b", offered) == "a"
    assert presented_key(None, " b ", offered) == "b"
    assert presented_key(None, None, offered) == "c"
    assert presented_key(None, None, ("realtime",)) is None
    # What is presented in another way must fail, not pass as nobody.
    assert presented_key("Basic a", None, ()) == "Basic a"


def test_paths_below_v1_that_nobody_thought_of_are_closed() -> None:
    assert scope_of("/v1/audio/speech") == "speak"
    assert scope_of("/v1/models/a/b") == "models"
    assert scope_of("/v1/secrets") == "admin"
    assert scope_of("/v1/modelsx") == "admin"
    assert scope_of("/healthz") is None
