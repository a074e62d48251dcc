"""Tests of quantities on a command line."""

import pytest

from voicectl.cli.quantities import seconds, share
from voicectl.core.errors import UsageError


@pytest.mark.parametrize(
    ("text", "value"), [("180s", 180.0), ("3m", 180.0), ("0.5h", 1800.0), ("250ms", 0.25), ("90", 90.0)]
)
def test_times_are_read(text: str, value: float) -> None:
    assert seconds(text, "--handle-time") == value


@pytest.mark.parametrize(("text", "value"), [("1%", 0.01), ("0.02", 0.02), ("99.5%", 0.995)])
def test_shares_are_read(text: str, value: float) -> None:
    assert share(text, "--blocking") == pytest.approx(value)


@pytest.mark.parametrize("text", ["", "-5s", "long", "3 parsecs"])
def test_what_is_no_time_is_refused_by_the_name_of_its_option(text: str) -> None:
    with pytest.raises(UsageError, match="--handle-time"):
        seconds(text, "--handle-time")


@pytest.mark.parametrize("text", ["0", "100%", "1", "-1%", "some"])
def test_what_is_no_share_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--blocking"):
        share(text, "--blocking")
