"""Settings of governance that contradict each other are refused with words."""

import pytest
from pydantic import ValidationError

from voicectl.core.sections.governance import Governance


@pytest.mark.parametrize("every_s", [60.0, 300.0])
def test_alerts_that_would_always_be_overdue_are_refused(every_s: float) -> None:
    with pytest.raises(ValidationError, match="must be shorter than alerts_overdue_s"):
        Governance(alerts_every_s=every_s, alerts_overdue_s=60.0)
    assert Governance(alerts_every_s=59.0, alerts_overdue_s=60.0).alerts_every_s == 59.0
