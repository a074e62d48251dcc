"""`voicectl calls score`: score recorded calls with the rules and a judge of its own, without the gateway."""

import asyncio
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from voicectl.cli.options import JsonOption, ProfileOption, SetOption, chosen_profile
from voicectl.cli.output import Output
from voicectl.core.errors import UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from voicectl.core.profile import Profile
    from voicectl.governance.score.rubric import Rubric
    from voicectl.governance.score.shelf import Which
    from voicectl.governance.store.store import Store
    from voicectl.service.scoring.offline import ScoringRun

EXIT_UNSCORED: Final = 22
"""Evidence is missing: what the gate says of a call without a score."""

app = typer.Typer(add_completion=False)


@app.command("score", epilog="Example: voicectl calls score --limit 100")
def score_command(
    *,
    call: Annotated[
        str | None, typer.Option("--call", metavar="ID", help="Score this call, once it has ended.")
    ] = None,
    failed: Annotated[bool, typer.Option("--failed", help="Also try those again that could not be scored.")] = False,
    everything: Annotated[
        bool, typer.Option("--all", help="Also score again what another model, rubric or prompt scored.")
    ] = False,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="Score at most so many; all.")] = None,
    rubric: Annotated[
        Path | None, typer.Option("--rubric", metavar="FILE", help="Score by this rubric; the packaged one.")
    ] = None,
    references: Annotated[
        Path | None,
        typer.Option("--references", metavar="JSONL", help="Store the word errors of these true transcripts, and end."),
    ] = None,
    profile: ProfileOption = None,
    settings: SetOption = None,
    json: JsonOption = False,
) -> None:
    """Score finished calls: rules, then the profile's language model as a judge.

    What is scored stays scored when it is stopped, and running it again goes on. Ends with 22 if a call
    could not be scored; the reasons are shown and stored.
    """
    if sum((call is not None, failed, everything, references is not None)) > 1:
        raise UsageError("--call, --failed, --all and --references exclude each other", hint="name one of them")
    if limit is not None and (call is not None or references is not None):
        raise UsageError("--limit is for scoring many calls", hint="leave it out")
    chosen = chosen_profile(profile, settings)
    output = Output(json=json)
    if references is not None:
        _store_references(chosen, references, output)
        return
    which: Which = "all" if everything else "failed" if failed else "due"
    run = asyncio.run(_score(chosen, _rubric(rubric), call, which, limit, output))
    output.result(_document(run), lambda console: _render(console, run))
    if run.num_failed:
        raise typer.Exit(EXIT_UNSCORED)


async def _score(  # what the command was asked, in its order
    profile: "Profile", rubric: "Rubric", call: str | None, which: "Which", limit: int | None, output: Output
) -> "ScoringRun":
    from voicectl.core.log import configure
    from voicectl.service.scoring.offline import (
        nothing_to_score,
        num_to_score,
        private_judge,
        require_finished,
        score_call,
        score_calls,
    )

    configure(json=False, level="warning")
    now = time.time()
    with _store(profile) as store:
        if call is None:
            total = num_to_score(store, profile, rubric, which=which, now=now)
            if not total:
                return nothing_to_score(store, profile, rubric)
        else:
            # Before the models are loaded, which takes long.
            require_finished(store, call)
        output.note("starting the language model …")
        async with private_judge(profile, rubric) as judge:
            if call is not None:
                return await score_call(store, judge, call)
            with output.progress(unit="items") as progress:
                task = progress.add_task("scoring calls", total=total if limit is None else min(total, limit))
                return await score_calls(
                    store, judge, which=which, limit=limit, now=now, on_done=lambda _: progress.advance(task)
                )


def _store(profile: "Profile") -> "Store":
    from voicectl.governance.store.location import location_of
    from voicectl.governance.store.store import open_store

    return open_store(location_of(profile.governance), create=False)


def _rubric(path: Path | None) -> "Rubric":
    from voicectl.governance.score.rubric import packaged_rubric, read_rubric

    return packaged_rubric() if path is None else read_rubric(path)


def _store_references(profile: "Profile", path: Path, output: Output) -> None:
    from voicectl.governance.score.references import read_references, store_references
    from voicectl.governance.score.wer import normaliser_version

    references = read_references(path)
    with _store(profile) as store, store.write() as connection:
        stored = store_references(connection, path, references)
    document = {"num_turns": stored, "normaliser": normaliser_version()}
    output.result(document, lambda console: console.print(f"word errors of {stored} turns stored"))


def _document(run: "ScoringRun") -> dict[str, Any]:
    return {
        "num_scored": run.num_scored,
        "num_failed": run.num_failed,
        "failures": [{"call_id": one.call_id, "reason": one.reason} for one in run.failures],
        "left": {"pending": run.left.pending, "failed": run.left.failed},
        "judge_digest": run.judge_digest,
        "rubric_version": run.rubric_version,
        "stopped": run.stopped,
    }


def _render(console: "Console", run: "ScoringRun") -> None:
    console.print(f"{run.num_scored} scored, {run.num_failed} could not be", markup=False)
    for one in run.failures:
        console.print(f"  {one.call_id}: {one.reason}", style="yellow", markup=False)
    if run.num_failed > len(run.failures):
        console.print(f"  … and {run.num_failed - len(run.failures)} more", markup=False)
    if run.stopped:
        console.print(f"stopped early: {run.stopped}", style="red", markup=False)
    console.print(
        f"{run.left.pending} wait, {run.left.failed} without a score in all; "
        f"judge {run.judge_digest[:12]}, rubric {run.rubric_version}",
        style="dim",
        markup=False,
    )
