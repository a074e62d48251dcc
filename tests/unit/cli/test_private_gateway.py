"""Tests of when a gateway of one command is settled."""

import pytest

from voicectl.bench.scrape import Sample
from voicectl.cli.private_gateway import SPARE_METRIC, has_its_spares


def spare(worker: str, value: float) -> Sample:
    return Sample(SPARE_METRIC, {"worker": worker}, value)


@pytest.mark.parametrize(
    ("samples", "settled"),
    [
        ([spare("llm", 1.0), spare("tts", 1.0)], True),
        ([spare("llm", 1.0), spare("tts", 0.0)], False),
        ([Sample("voicectl_worker_up", {"worker": "llm"}, 0.0)], True),
        ([], False),
    ],
)
def test_gateway_is_settled_once_no_worker_waits_for_its_spare(samples: list[Sample], settled: bool) -> None:
    assert has_its_spares(samples) is settled
