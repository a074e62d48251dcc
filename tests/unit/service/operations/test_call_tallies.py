"""Finished calls are counted once, when they have settled; every series of the generated alert rules is told."""

import asyncio
import re
from contextlib import suppress

import pytest
import yaml

from tests.fakes.conversation import scripted_profile
from tests.fakes.records import NOW, MemoryRecords, a_call
from voicectl.core.records import TurnRow
from voicectl.governance.alerts.rules import rule_file
from voicectl.governance.policy.load import load_policy
from voicectl.service.operations.call_tallies import CallTallies
from voicectl.service.operations.metrics import Metrics

POLICY = load_policy().policy
SETTLE_S = POLICY.defaults.max_staleness


class Bench:
    """Tallies over records in memory, in rounds at given times."""

    def __init__(self) -> None:
        self.records = MemoryRecords()
        self.time = NOW
        self.metrics = Metrics(scripted_profile())
        self.num_sleeps = 0
        self.tallies = CallTallies(self.records, lambda: POLICY, sleep=self._sleep, now=lambda: self.time)
        self.tallies.tell(self.metrics)

    async def round_at(self, time: float) -> None:
        self.time, self.num_sleeps = time, 0
        with suppress(EOFError):
            await self.tallies.run()

    def value(self, series: str) -> float | None:
        name, _, labels = series.partition("{")
        wanted = dict(part.split("=") for part in labels.rstrip("}").split(","))
        return self.metrics.registry.get_sample_value(name, wanted)

    async def _sleep(self, _seconds: float) -> None:
        self.num_sleeps += 1
        if self.num_sleeps == 2:
            raise EOFError


def ended(at: float, call_id: str, **known: object) -> object:
    return a_call(call_id, started_at=at - 60, answered_at=at - 59, ended_at=at, **known)


async def test_a_call_is_counted_once_as_it_is_known_when_it_has_settled() -> None:
    bench = Bench()
    containment = "voicectl_calls_containment_total{use_case=faq,tier=low,contained="
    bench.records.add(ended(NOW - SETTLE_S - 5, "before", resolved=True))  # type: ignore[arg-type]
    bench.records.add(ended(NOW, "good", resolved=True, compliance_flagged=False, score_state="scored"))  # type: ignore[arg-type]
    bench.records.add(ended(NOW + 1, "lossy", resolved=True, incomplete=True))  # type: ignore[arg-type]
    bench.records.add(ended(NOW + 2, "probe", resolved=True, probe=True))  # type: ignore[arg-type]
    bench.records.add(ended(NOW + 3, "unscored"))  # type: ignore[arg-type]
    await bench.round_at(NOW + 60)
    assert bench.value(containment + "yes}") == 0, "none has settled"
    for _ in range(2):
        await bench.round_at(NOW + SETTLE_S + 10)
        found = [bench.value(f"{containment}{answer}}}") for answer in ("yes", "no", "unknown")]
        assert found == [1, 0, 2]
    flags = "voicectl_calls_compliance_total{use_case=faq,tier=low,flagged="
    assert [bench.value(f"{flags}{answer}}}") for answer in ("yes", "no", "unknown")] == [0, 1, 2]
    bench.records.close()


async def test_transfers_and_word_errors_are_counted() -> None:
    bench = Bench()
    warm = {
        "transfer_attempted": True,
        "transfer_result": "succeeded",
        "transfer_complete": True,
        "transfer_payload_digest": "d" * 64,
    }
    turn = TurnRow(
        "cold", 1, wer_substitutions=1, wer_deletions=2, wer_insertions=0, wer_words=30, reference_kind="probe"
    )
    bench.records.add(ended(NOW, "warm", **warm))  # type: ignore[arg-type]
    bench.records.add(ended(NOW, "cold", **{**warm, "transfer_result": "failed"}), turn)  # type: ignore[arg-type]
    bench.records.add(ended(NOW, "told", **{**warm, "transfer_result": None}))  # type: ignore[arg-type]
    await bench.round_at(NOW + SETTLE_S + 10)
    transfers = "voicectl_warm_transfers_total{use_case=faq,tier=low,warm="
    assert [bench.value(f"{transfers}{answer}}}") for answer in ("yes", "no", "unknown")] == [1, 1, 1]
    assert bench.value("voicectl_wer_words_total{use_case=faq,tier=low}") == 30
    assert bench.value("voicectl_wer_errors_total{use_case=faq,tier=low}") == 3
    bench.records.close()


async def test_since_when_a_use_case_is_served_is_told_and_does_not_change() -> None:
    bench = Bench()
    since = "voicectl_use_case_served_since_seconds{use_case=faq,tier=low}"
    bench.records.add(a_call("probe", probe=True, started_at=NOW - 90_000))
    await bench.round_at(NOW + SETTLE_S)
    assert bench.value(since) is None
    bench.records.add(a_call("first", started_at=NOW - 80_000))
    bench.records.add(a_call("other tier", started_at=NOW - 85_000, tier="medium"))
    await bench.round_at(NOW + SETTLE_S + 1)
    assert bench.value(since) == NOW - 80_000
    bench.records.add(a_call("imported later", started_at=NOW - 83_000))
    await bench.round_at(NOW + SETTLE_S + 2)
    assert bench.value(since) == NOW - 80_000
    bench.records.close()


async def test_a_round_that_fails_is_made_up_for() -> None:
    bench = Bench()
    bench.records.add(ended(NOW, "good", resolved=True))  # type: ignore[arg-type]
    whole, bench.tallies._records = bench.tallies._records, object()  # type: ignore[assignment]
    await bench.round_at(NOW + SETTLE_S + 10)
    bench.tallies._records = whole
    await bench.round_at(NOW + SETTLE_S + 20)
    assert bench.value("voicectl_calls_containment_total{use_case=faq,tier=low,contained=yes}") == 1
    bench.records.close()


@pytest.mark.parametrize("group", yaml.safe_load(rule_file(POLICY))["groups"], ids=lambda group: str(group["name"]))
async def test_every_series_that_a_generated_rule_reads_is_exported(group: dict[str, list[dict[str, str]]]) -> None:
    bench = Bench()
    bench.records.add(a_call())
    await bench.round_at(NOW + SETTLE_S)
    page = bench.metrics.render()[0].decode()
    exported = {re.split(r"[{ ]", line)[0] for line in page.splitlines() if line and not line.startswith("#")}
    read = {name for rule in group["rules"] for name in re.findall(r"voicectl_\w+", rule["expr"])}
    assert read
    assert read <= exported
    bench.records.close()


async def test_the_task_ends_when_it_is_cancelled() -> None:
    tallies = CallTallies(MemoryRecords(), lambda: POLICY)
    task = asyncio.create_task(tallies.run())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
