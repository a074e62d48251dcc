"""What the profile says of a new session."""

from tests.fakes.conversation import scripted_profile
from voicectl.service.http.realtime import session_defaults


def test_a_new_session_is_what_the_profile_says() -> None:
    profile = scripted_profile()
    defaults = session_defaults(profile)
    assert defaults.instructions == profile.llm.system_prompt
    assert defaults.silence_ms == profile.endpointing.completion_ms
    assert defaults.voice == "scripted-voice"
