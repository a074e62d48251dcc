"""Admission of calls, and what the profile says of a new session."""

import asyncio

import pytest

from tests.fakes.conversation import scripted_profile
from voicectl.core.errors import RequestRejected
from voicectl.service.http import Sessions, session_defaults


async def test_places_are_counted_and_given_back() -> None:
    sessions = Sessions(1)
    await asyncio.wait_for(sessions.wait_empty(), 1)
    sessions.admit("a")
    with pytest.raises(RequestRejected, match="1 of 1 calls"):
        sessions.admit("b")
    sessions.release("a")
    sessions.admit("b")
    assert len(sessions) == 1


def test_a_draining_gateway_admits_nobody() -> None:
    sessions = Sessions(4)
    sessions.draining = True
    with pytest.raises(RequestRejected, match="stopping"):
        sessions.admit("a")


def test_a_new_session_is_what_the_profile_says() -> None:
    profile = scripted_profile()
    defaults = session_defaults(profile)
    assert defaults.instructions == profile.llm.system_prompt
    assert defaults.silence_ms == profile.endpointing.completion_ms
    assert defaults.voice == "scripted-voice"
