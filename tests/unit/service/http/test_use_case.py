"""A client says what its call is for, in words that can be one."""

import pytest

from voicectl.service.http.problem import Problem
from voicectl.service.http.use_case import use_case_of


def test_what_is_named_counts() -> None:
    assert use_case_of("order_status") == "order_status"
    assert use_case_of(None) is None


@pytest.mark.parametrize("named", ["", "Order", "1st", "a b", "a/b", "a" * 65, "é", "a\n"])
def test_what_cannot_be_one_is_refused(named: str) -> None:
    with pytest.raises(Problem) as problem:
        use_case_of(named)
    assert (problem.value.status, problem.value.param) == (400, "use_case")
