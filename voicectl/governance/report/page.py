"""Write a digest as one HTML file that needs nothing else: plots are inside, and no script or address is."""

import re
from collections.abc import Mapping
from importlib.resources import files
from typing import Final

from voicectl.governance.report.digest import Digest, Plot

TEMPLATE: Final = "report.html.j2"
_INSIDE_A_FIGURE: Final = re.compile(
    r"(?<=\d) (?=(?:%|s|unknown)(?!\w)|\(\+\d)|(?<=[≥<>]) (?=\d)|(?<=%) (?=\(\d|to \d)|(?<=to) (?=\d)"
)
""""95.0 %", "> 95.0 %", "3.50 s", "60.0 % (70.0 %)", "200 (+3 unknown)", "58.1 % to 62.0 %"."""


def page(digest: Digest, plots: Mapping[Plot, str]) -> str:
    """Return the page. `plots` are SVG elements by name; those that are missing are left out."""
    # Only this form of a report needs it.
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["unbroken"] = unbroken
    template = environment.from_string(files(__package__).joinpath(TEMPLATE).read_text(encoding="utf-8"))
    wanted: tuple[Plot, ...] = ("containment", "compliance", "wer", "latency", "escalation")
    # Made by us from numbers and fixed words alone.
    drawn = {name: Markup(plots[name]) if name in plots else None for name in wanted}  # noqa: S704
    return template.render(digest=digest, plots=drawn) + "\n"


def unbroken(text: str) -> str:
    """Return a text in which no line ends inside a figure, before its unit or behind its sign."""
    return _INSIDE_A_FIGURE.sub("\N{NO-BREAK SPACE}", text)
