"""The reference in docs/ is the schema."""

from pathlib import Path

from voicectl.core.config import profile_keys
from voicectl.core.config_reference import render_reference

PAGE = Path(__file__).parents[3] / "docs" / "configuration.md"


def test_page_is_what_the_schema_renders() -> None:
    assert PAGE.read_text() == render_reference(), (
        "run: python -m voicectl.core.config_reference > docs/configuration.md"
    )


def test_every_key_is_listed_with_meaning_and_example() -> None:
    rows = {line.split("|")[1].strip(): line for line in render_reference().splitlines() if line.startswith("| `")}
    for key in profile_keys():
        cells = [cell.strip() for cell in rows[f"`{key.replace('.0.', '.N.')}`"].split(" | ")]
        assert len(cells) == 4
        assert all(cells)
