"""`voicectl report weekly|monthly|quarterly`: digests of the governance cadence, for the roles that own them."""

import math
import os
import sys
import time
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import typer

from voicectl.cli.options import JsonOption, ProfileOption, SetOption, chosen_profile
from voicectl.cli.output import Output
from voicectl.core.disk import replacing
from voicectl.core.errors import UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from voicectl.governance.report.digest import Digest
    from voicectl.governance.report.facts import Facts
    from voicectl.governance.report.lines import Lines

app = typer.Typer(add_completion=False, rich_markup_mode="markdown")

QUERY_TIMEOUT_S: Final = 120.0
"""A quarter of calls is counted once, not within the time that a call's record may take."""
SUFFIXES: Final = (".html", ".md")

CadenceName = Literal["weekly", "monthly", "quarterly"]


@app.command("report", epilog="Example: voicectl report weekly --out week.html")
def report_command(
    cadence: Annotated[CadenceName, typer.Argument(help="7, 30 or 91 days.")],
    *,
    until: Annotated[
        str | None, typer.Option("--until", metavar="DATE", help="Last day, YYYY-MM-DD in UTC; yesterday.")
    ] = None,
    use_case: Annotated[
        str | None, typer.Option("--use-case", "-u", metavar="NAME", help="Only calls of this use case.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="FILE", help="Write FILE.html (with plots) or FILE.md.")
    ] = None,
    policy: Annotated[
        Path | None,
        typer.Option("--policy", metavar="FILE", help="Gate policy to read the figures against; the one in force."),
    ] = None,
    csat_baseline: Annotated[
        float | None,
        typer.Option("--csat-baseline", metavar="MEAN", help="CSAT to compare with; that of the period before."),
    ] = None,
    profile: ProfileOption = None,
    settings: SetOption = None,
    json: JsonOption = False,
) -> None:
    """Write a digest of recorded calls: Markdown on stdout, or a page with plots.

    weekly is the scoring digest for the quality reviewer, monthly the platform and vendor review for the Voice
    AI owner, quarterly the review for the compliance officer.
    """
    from voicectl.governance.policy.load import load_policy
    from voicectl.governance.report.cadence import digest_of
    from voicectl.governance.report.facts import read_facts
    from voicectl.governance.report.lines import lines_of
    from voicectl.governance.report.period import period_of
    from voicectl.governance.rollout.load import policy_file
    from voicectl.governance.store.location import location_of
    from voicectl.governance.store.store import open_store

    out = _checked(out)
    if csat_baseline is not None and not math.isfinite(csat_baseline):
        raise UsageError(f"--csat-baseline {csat_baseline}: no mean", hint="give a number, such as 4.2")
    period = period_of(cadence, last=_day(until), now=time.time())
    lines = lines_of(load_policy(policy or policy_file()).policy)
    location = location_of(chosen_profile(profile, settings).governance)
    with open_store(location, timeout_s=QUERY_TIMEOUT_S, create=False) as store, store.read() as connection:
        facts = read_facts(connection, period, use_case=use_case, csat_baseline=csat_baseline, lines=lines)
    digest = digest_of(facts, lines)
    output = Output(json=json)
    if out is not None:
        _write(out, _text(digest, facts, lines, as_page=out.suffix.lower() == ".html"))
        output.note(f"{digest.title}, {digest.subtitle} → {out}")
    document = _document(digest, out)
    output.result(document, lambda console: _render(console, digest, out))


def _document(digest: "Digest", out: Path | None) -> dict[str, Any]:
    return {
        "title": digest.title,
        "owner": digest.owner,
        "notes": list(digest.notes),
        "escalated": list(digest.escalated),
        "file": None if out is None else str(out),
        **digest.facts,
    }


def _render(console: "Console", digest: "Digest", out: Path | None) -> None:
    from voicectl.governance.report.markdown import markdown

    if out is None:
        # As it is: what is piped into a file is the file that --out writes.
        sys.stdout.write(markdown(digest))
        return
    for text in digest.notes:
        console.print(f"note  {text}", markup=False)
    for text in digest.escalated:
        console.print(f"pass on  {text}", style="red", markup=False)


def _text(digest: "Digest", facts: "Facts", lines: "Lines", *, as_page: bool) -> str:
    if not as_page:
        from voicectl.governance.report.markdown import markdown

        return markdown(digest)
    from voicectl.governance.report.page import page
    from voicectl.governance.report.plots import draw_plots

    return page(digest, draw_plots(facts, lines))


def _day(text: str | None) -> date | None:
    if text is None:
        return None
    try:
        day = date.fromisoformat(text)
    except ValueError as error:
        raise UsageError(f"--until {text}: no day", hint="write it as 2026-08-31") from error
    if not date(2000, 1, 1) <= day <= date(9000, 1, 1):
        raise UsageError(f"--until {text}: outside of the years 2000 to 9000")
    return day


def _checked(out: Path | None) -> Path | None:
    """Return the file to be written: where a link leads, so that the link stays."""
    if out is None:
        return None
    if out.suffix.lower() not in SUFFIXES:
        raise UsageError(f"{out}: a report is written as .html or .md", hint="name the file accordingly")
    if out.is_symlink():
        out = Path(os.path.realpath(out))
    if not out.absolute().parent.is_dir():
        raise UsageError(f"{out}: there is no folder {out.absolute().parent}", hint="make it first")
    if out.exists() and not out.is_file():
        raise UsageError(f"{out}: is no regular file", hint="name another file with --out")
    return out


def _write(out: Path, text: str) -> None:
    """Write a file as a whole, readable by its owner alone: a report quotes callers."""
    try:
        with replacing(out.absolute()) as fresh:
            fresh.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{out}: {error.strerror}", hint="name another file with --out") from error
