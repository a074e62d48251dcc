import math

import pytest

from tests.unit.engine.llm.fakes import generate
from voicectl.core.errors import RequestRejected
from voicectl.engine.llm.generation import SamplingSettings
from voicectl.engine.messages import Generate


def request(*, temperature: float = 0.7, top_p: float = 0.9, top_k: int = 40, seed: int = 7) -> Generate:
    return Generate("a", generate("a", "Hi").messages, 8, temperature, top_p, top_k, seed)


def test_settings_are_those_of_the_request() -> None:
    assert SamplingSettings.of(request()) == SamplingSettings(temperature=0.7, top_p=0.9, top_k=40, seed=7)


@pytest.mark.parametrize("seed", [-1, 0xFFFFFFFF, 2**64])
def test_no_seed_means_a_random_one(seed: int) -> None:
    assert 0 <= SamplingSettings.of(request(seed=seed)).seed < 0xFFFFFFFF


@pytest.mark.parametrize(
    ("bad", "name"),
    [
        (request(temperature=-0.1), "temperature"),
        (request(temperature=math.nan), "temperature"),
        (request(temperature=math.inf), "temperature"),
        (request(top_p=0.0), "top_p"),
        (request(top_p=1.1), "top_p"),
        (request(top_p=math.nan), "top_p"),
        (request(top_k=0), "top_k"),
    ],
)
def test_settings_without_meaning_are_rejected(bad: Generate, name: str) -> None:
    with pytest.raises(RequestRejected, match=name):
        SamplingSettings.of(bad)
