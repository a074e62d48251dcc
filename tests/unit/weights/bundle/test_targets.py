"""Tests of the operating systems a bundle can be made for."""

import pytest

from voicectl.core.errors import UsageError
from voicectl.weights.bundle.targets import TARGETS, find_target


def test_wheels_for_a_newer_c_library_do_not_run_on_the_target() -> None:
    platforms = find_target("debian12").platforms
    assert platforms[0] == "manylinux_2_36_x86_64"
    assert "manylinux2014_x86_64" in platforms
    assert "manylinux_2_37_x86_64" not in platforms


def test_unknown_target_is_answered_with_the_known_ones() -> None:
    with pytest.raises(UsageError) as caught:
        find_target("debian11")
    assert all(name in str(caught.value.hint) for name in TARGETS)
