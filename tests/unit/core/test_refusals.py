"""What pydantic refuses is told in this project's words."""

import pytest
from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from voicectl.core.refusals import refused_key, refused_why


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid")
    size: int

    @field_validator("size")
    @classmethod
    def _even(cls, size: int) -> int:
        if size % 2:
            raise ValueError("sizes are even")
        return size


class Outer(BaseModel):
    items: list[Inner]


@pytest.mark.parametrize(
    ("item", "key", "why"),
    [
        ({"size": 2, "colour": 1}, "items.0.colour", "unknown key"),
        ({}, "items.0.size", "required, but not set"),
        ({"size": 3}, "items.0.size", "sizes are even"),
        ({"size": "big"}, "items.0.size", "'big' refused: input should be a valid integer"),
    ],
)
def test_key_and_reason_are_told(item: dict[str, object], key: str, why: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Outer.model_validate({"items": [item]})
    (problem,) = caught.value.errors(include_url=False, include_context=False)
    assert refused_key(problem) == key
    assert refused_why(problem).startswith(why)


def test_a_long_value_is_cut() -> None:
    with pytest.raises(ValidationError) as caught:
        Outer.model_validate({"items": [{"size": "x" * 5000}]})
    assert len(refused_why(caught.value.errors(include_url=False, include_context=False)[0])) < 400
