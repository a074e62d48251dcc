"""URLs of checkpoint stores."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from voicectl.core.errors import ConfigError
from voicectl.core.sections.checkpoints import Checkpoints
from voicectl.service.checkpoints.location import RedisLocation, SqliteLocation, parse_location


@pytest.mark.parametrize("url", ["sqlite:///var/lib/x/c.db", "sqlite:////var/lib/x/c.db"])
def test_a_sqlite_path_is_absolute_with_one_slash_or_two(url: str) -> None:
    assert parse_location(url) == SqliteLocation(Path("/var/lib/x/c.db"))


def test_redis_over_tcp_and_tls() -> None:
    plain = parse_location("redis://cache.example/3")
    assert plain == RedisLocation("redis://cache.example:6379/3", host="cache.example", db=3)
    secure = parse_location("rediss://voice@[fd00::1]:7000")
    assert secure == RedisLocation("rediss://[fd00::1]:7000/0", host="fd00::1", port=7000, username="voice", tls=True)


def test_redis_over_a_socket() -> None:
    assert parse_location("unix:///run/valkey.sock?db=2") == RedisLocation(
        "unix:///run/valkey.sock", path=Path("/run/valkey.sock"), db=2
    )


@pytest.mark.parametrize(
    "url",
    [
        "sqlite://",
        "sqlite://host/x.db",
        "sqlite:///",
        "redis://",
        "redis://host/x",
        "redis://host/-1",
        "redis://host/0?timeout=1",
        "unix:///s?db=0&password=x",
        "redis://host:99999",
        "http://host",
        "c.db",
        "redis://[::1",
    ],
)
def test_what_leads_nowhere_is_a_configuration_error_with_a_hint(url: str) -> None:
    with pytest.raises(ConfigError) as error:
        parse_location(url)
    assert error.value.hint is not None
    assert error.value.exit_code == 3


def test_a_password_in_the_url_is_refused_and_not_repeated() -> None:
    with pytest.raises(ValidationError, match="password_file") as error:
        Checkpoints(url="redis://user:hunter2@host:6379/0")
    problem = error.value.errors(include_input=False)[0]
    assert "hunter2" not in problem["msg"]


def test_an_unknown_scheme_is_refused_with_those_that_are_known() -> None:
    with pytest.raises(ValidationError, match="sqlite, redis, rediss, unix"):
        Checkpoints(url="postgresql://host/db")
