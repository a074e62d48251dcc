from typing import Any

import pytest
from pydantic import ValidationError

from voicectl.core.config import load_profile
from voicectl.core.profile import Profile

CPU: dict[str, Any] = load_profile("cpu", environment={}).model_dump(mode="json")


def with_worker(**keys: Any) -> Profile:
    return Profile.model_validate({**CPU, "workers": [*CPU["workers"], keys]})


def test_fallback_worker_may_host_another_model_of_a_stage() -> None:
    profile = with_worker(name="small", stages=["llm"], fallback=True, models={"llm": "tiny"})
    assert profile.model_names() == {**CPU["models"], "fallback.llm": "tiny"}


def test_fallback_worker_may_be_a_second_process_of_the_same_model() -> None:
    assert with_worker(name="second", stages=["stt"], fallback=True).model_names() == CPU["models"]


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"name": "second", "stages": ["stt"]}, "once each"),
        ({"name": "second", "stages": ["stt", "stt"], "fallback": True}, "a stage once"),
        ({"name": "stt", "stages": ["llm"], "fallback": True}, "names must differ"),
        ({"name": "small", "stages": ["llm"], "fallback": True, "models": {"stt": "x"}}, "does not host"),
    ],
)
def test_placements_that_cannot_be_meant_are_refused(keys: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        with_worker(**keys)


def test_only_fallbacks_name_models_of_their_own() -> None:
    first, *others = CPU["workers"]
    with pytest.raises(ValidationError, match="is no fallback"):
        Profile.model_validate({**CPU, "workers": [{**first, "models": {"stt": "x"}}, *others]})


def test_probes_never_wait_longer_than_their_bound() -> None:
    with pytest.raises(ValidationError, match="open_s <= max_open_s"):
        Profile.model_validate({**CPU, "breakers": {"open_s": 5, "max_open_s": 1}})
