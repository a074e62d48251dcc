"""Sessions belong to a use case; one that gets no traffic is refused before the upgrade."""

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from tests.fakes.conversation import eventually, running
from voicectl.core.ports import Purpose

pytestmark = pytest.mark.integration


async def test_a_session_has_the_use_case_of_its_url_in_its_tier() -> None:
    async with running() as gateway:
        gateway.gateway.tiers["billing"] = "medium"
        for query, purpose in (("", Purpose("faq", "low")), ("&use_case=billing", Purpose("billing", "medium"))):
            async with connect(gateway.realtime_url + query):
                assert gateway.call.purpose == purpose
        await eventually(lambda: not gateway.app.admission)


@pytest.mark.parametrize(("use_case", "status"), [("payments", 403), ("No%20Name", 400)])
async def test_a_use_case_without_traffic_and_one_that_cannot_be_are_refused(use_case: str, status: int) -> None:
    async with running() as gateway:
        gateway.gateway.tiers["payments"] = None
        with pytest.raises(InvalidStatus) as refused:
            async with connect(f"{gateway.realtime_url}&use_case={use_case}"):
                pass
        assert refused.value.response.status_code == status
        assert gateway.gateway.conversations == []
