"""Tests of whole plans: what bounds a host, hosts for the peak, costs, settings, and promises that cannot be kept."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.fakes.capacity_shapes import CONVERSATION, SPEEDS, TUNING
from voicectl.capacity import prediction
from voicectl.capacity.costs import CostInputs
from voicectl.capacity.demand import demand_of
from voicectl.capacity.planner import Place, Question, plan
from voicectl.capacity.prediction import Host, Slo
from voicectl.capacity.sheets import model_sheet, price_sheet
from voicectl.capacity.whatif import Brain
from voicectl.core.config import load_profile

MakeQuestion = Callable[..., Question]


@pytest.fixture(autouse=True)
def _few_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prediction, "TURNS", 12)
    monkeypatch.setattr(prediction, "LEAST_TURNS_A_CALL", 2)
    monkeypatch.setattr(prediction, "REPLICATES", 2)


def brain(name: str = "smollm2-135m-instruct-q4_1", context_tokens: int = 2048, element: float = 2.0) -> Brain:
    """Return a model as plans count it."""
    shape, quantisation = model_sheet().language_model(name)
    return Brain(name, shape, model_sheet().bits(quantisation), element, context_tokens)


def question(**changes: object) -> Question:
    """Return the question of a small host, changed."""
    sizes = {"stt": 0.08, "llm": 0.1, "tts": 0.06, "turn": 0.01}
    base = Question(
        demand=demand_of(300, 120.0),
        slo=Slo(95, 0.9),
        blocking=0.01,
        # A gateway so slow that the search ends early.
        host=Host(replace(SPEEDS, session_cores=0.05), CONVERSATION, TUNING, model_error=0.1),
        place=Place("2 cores", 24.0, None, None, sizes, 0.0),
        profile=load_profile("cpu", environment={}),
        brain=brain(),
        costs=CostInputs(host_usd=1500.0, power_w=120.0),
        prices=price_sheet(),
        basis="measured",
        basis_text="a test",
    )
    return replace(base, **changes)  # type: ignore[arg-type] # fields by name


def test_a_plan_has_hosts_for_the_peak_and_one_to_lose() -> None:
    found = plan(question())
    assert found.sessions > 0
    assert found.limiting.startswith("promise")
    assert found.hosts is not None
    assert found.hosts_with_loss == found.hosts + 1
    hosts = found.pools[0].hosts
    assert hosts.lines <= hosts.hosts * found.sessions
    assert hosts.blocking <= 0.01


def test_each_language_has_hosts_of_its_own() -> None:
    demand = demand_of(300, 120.0, languages={"en": 0.5, "es": 0.5})
    found = plan(question(demand=demand))
    assert [pool.language for pool in found.pools] == ["en", "es"]
    assert found.hosts_with_loss == sum(pool.hosts.hosts_with_loss for pool in found.pools)


def test_a_small_card_bounds_the_host_by_its_memory() -> None:
    place = Place("a card", 64.0, 12.4, None, {"stt": 0.5, "llm": 0.5, "tts": 0.1, "turn": 0.01}, 2.5)
    fast = replace(SPEEDS.scaled(dict.fromkeys(("stt", "turn", "prefill", "decode", "tts"), 0.01)), cores=64)
    big = brain("llama-3.1-8b-instruct-q4_k_m", context_tokens=2048)
    host = Host(fast, CONVERSATION, TUNING, model_error=0.1)
    found = plan(question(place=place, brain=big, host=host, slo=Slo(95, 5.0)))
    assert found.limiting == "card memory"
    assert 9 <= found.sessions <= 11
    assert found.card is not None
    assert found.card.fits
    wanted = {setting.key: setting.wanted for setting in found.settings}
    assert wanted["server.max_sessions"] == wanted["llm.hot_sessions"] == found.sessions


def test_a_smaller_cache_holds_more_sessions() -> None:
    place = Place("a card", 64.0, 13.6, None, {"tts": 0.1}, 2.5)
    fast = replace(SPEEDS.scaled(dict.fromkeys(("stt", "turn", "prefill", "decode", "tts"), 0.01)), cores=64)
    host = Host(fast, CONVERSATION, TUNING, model_error=0.1)
    sessions = [
        plan(
            question(
                place=place,
                host=host,
                slo=Slo(95, 5.0),
                brain=brain("llama-3.1-8b-instruct-q4_k_m", element=element, context_tokens=4096),
            )
        ).sessions
        for element in (2.0, 1.0625)
    ]
    assert sessions[1] == pytest.approx(sessions[0] * 2 / 1.0625, abs=2)


def test_a_promise_that_cannot_be_kept_tells_the_best_and_plans_nothing() -> None:
    found = plan(question(slo=Slo(95, 0.2)))
    assert (found.sessions, found.hosts, found.costs, found.settings) == (0, None, None, ())
    assert found.knee.best_s > 0.2


def test_a_minute_costs_the_month_by_its_minutes() -> None:
    found = plan(question(costs=CostInputs(1500.0, 120.0, staff_usd_a_month=1000.0)))
    costs = found.costs
    assert costs is not None
    assert costs.month_usd == pytest.approx(costs.depreciation_usd + costs.power_usd + 1000.0)
    assert costs.minute_usd == pytest.approx(costs.month_usd / costs.minutes_a_month)
    assert {one.name for one in costs.hosted} == {"Retell AI", "Bland AI", "Vapi", "assembled pipeline"}


def test_the_same_question_gives_the_same_answer() -> None:
    assert plan(question()).document() == plan(question()).document()
