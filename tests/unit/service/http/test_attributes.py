"""What clients say about their calls."""

import pytest

from voicectl.service.http.attributes import MAX_ATTRIBUTES, attributes_of
from voicectl.service.http.problem import Problem


def test_attributes_are_read_and_other_parameters_left_alone() -> None:
    query = [("model", "m"), ("voicectl_attribute.a", "1"), ("voicectl_attribute.b", ""), ("voicectl_attribute.a", "2")]
    assert attributes_of(query) == {"a": "2", "b": ""}


@pytest.mark.parametrize("name", ["", "a b", "ä", "x" * 65, "a\n"])
def test_bad_names_are_refused(name: str) -> None:
    with pytest.raises(Problem) as refused:
        attributes_of([(f"voicectl_attribute.{name}", "1")])
    assert refused.value.status == 400


def test_values_and_numbers_are_bounded() -> None:
    with pytest.raises(Problem):
        attributes_of([("voicectl_attribute.a", "x" * 513)])
    pairs = [(f"voicectl_attribute.a{number}", "1") for number in range(MAX_ATTRIBUTES + 1)]
    assert len(attributes_of(pairs[:-1])) == MAX_ATTRIBUTES
    with pytest.raises(Problem):
        attributes_of(pairs)
