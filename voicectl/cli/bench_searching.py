"""`voicectl bench run --search`: run after run, up and down the load, until the boundary of a threshold is known."""

import asyncio
import sys
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import typer

from voicectl.bench.report.document import EXIT_BREACHED, EXIT_INVALID, run_document
from voicectl.bench.statistics import validity
from voicectl.bench.statistics.search import HighestLoad, SearchPlan, Try, conclude, next_try
from voicectl.bench.statistics.thresholds import Slo
from voicectl.bench.summary import RunSummary
from voicectl.cli.bench_finishing import kept, reported
from voicectl.cli.bench_judging import Judgement
from voicectl.cli.bench_load import at_level, level_text
from voicectl.cli.bench_outputs import Outputs
from voicectl.cli.bench_running import View, Work, bench_target, hold, ready_workload
from voicectl.cli.bench_view import bench_view
from voicectl.cli.main import EXIT_INTERRUPTED
from voicectl.cli.output import Output, report_error
from voicectl.core.errors import UsageError, VoicectlError

if TYPE_CHECKING:
    from voicectl.bench.run_record import LoadPlan, RunRecord

MOST_CALLERS: Final = 512.0
MOST_CALLS_PER_MINUTE: Final = 2_000.0
LEAST_CALLS_PER_MINUTE: Final = 0.5


@dataclass(frozen=True, slots=True)
class Level:
    """One run of a search: the load, what became of it, and why it counts as it does."""

    tried: Try
    record: "RunRecord"
    summary: RunSummary
    file: str | None
    reason: str


@dataclass(slots=True)
class Search:
    """The runs so far. `failures` are files that could not be written."""

    judgement: Judgement
    slo: Slo
    plan: SearchPlan
    outputs: Outputs
    levels: list[Level]
    failures: list[VoicectlError]
    interrupted: bool = False

    @property
    def tries(self) -> list[Try]:
        """Return the runs as the search's decisions know them."""
        return [level.tried for level in self.levels]


def search_command(work: Work, judgement: Judgement, expression: str, outputs: Outputs, output: Output) -> None:
    """Search, write the reports of the run at the highest load, print, exit."""
    search = new_search(work.plan, judgement, expression, outputs)
    with bench_view(sys.stderr) as view:
        asyncio.run(_search(work, search, view))
    found = conclude(search.tries, search.plan)
    shown = shown_level(search.levels, found)
    if shown is not None:
        search.failures += reported(outputs, shown.record, shown.summary, search.judgement)
    document = search_document(search, found, shown)
    output.result(document, lambda console: _render(console, work.plan, search, found, shown))
    for failure in search.failures:
        report_error(failure, as_json=False)
    code = search.failures[0].exit_code if search.failures else search_exit_code(search, found)
    if code:
        raise typer.Exit(code)


def new_search(plan: "LoadPlan", judgement: Judgement, expression: str, outputs: Outputs) -> Search:
    """Return a search that has not begun. Raises UsageError for what cannot be searched."""
    if plan.arrivals == "trace":
        raise UsageError("--search needs a load that can be raised, --trace has its own")
    wanted = Judgement.of([expression], None).slos
    if len(wanted) != 1:
        raise UsageError(
            f"--search {expression!r} are {len(wanted)} thresholds", hint="search one, check others by --slo"
        )
    # First the threshold that is searched for; the others are told beside it.
    judged = replace(judgement, slos=(*wanted, *judgement.slos))
    return Search(judged, wanted[0], search_plan(plan), outputs, [], [])


def search_plan(plan: "LoadPlan") -> SearchPlan:
    """Return where a search begins and ends: at the load of the plan, in callers or calls a minute."""
    if plan.arrivals == "closed":
        return SearchPlan(float(plan.concurrency or 1), 1.0, MOST_CALLERS, whole=True)
    start = plan.calls_per_minute or 1.0
    return SearchPlan(start, min(start, LEAST_CALLS_PER_MINUTE), max(start, MOST_CALLS_PER_MINUTE))


async def _search(work: Work, search: Search, view: View) -> None:
    from voicectl.bench.generator.run import stopping_on_interrupt

    workload = await ready_workload(work.workload, work.target, view)
    async with bench_target(work.target, view) as target, stopping_on_interrupt() as stopping:
        while (following := next_try(search.tries, search.plan)).load is not None:
            number = len(search.levels) + 1
            plan = at_level(work.plan, following.load)
            view.note(f"run {number}, {level_text(plan)}: {following.reason}")
            record = await hold(plan, workload, target, view=view, stopping=stopping)
            outputs = replace(search.outputs, record=search.outputs.record_of_level(number))
            search.failures += await asyncio.to_thread(kept, outputs, record)
            if stopping.is_set():
                search.interrupted = True
                return
            level = await asyncio.to_thread(judged_level, search, following.load, record, outputs)
            search.levels.append(level)
            view.note(f"  {level.tried.outcome}: {level.reason}")


def judged_level(search: Search, load: float, record: "RunRecord", outputs: Outputs) -> Level:
    """Return what one run says about its load."""
    summary = search.judgement.judge(record)
    slo = summary.slos[0]
    file = None if outputs.record is None else str(outputs.record)
    num = next((found.num for found in summary.distributions if found.metric == search.slo.metric), 0)
    if summary.verdict == "VALID" and slo.met is not None:
        return Level(Try(load, "met" if slo.met else "missed", num, slo.value), record, summary, file, slo.reason)
    reason = "; ".join(summary.reasons) or slo.reason
    overloaded = validity.throughput(record).saturated and generated_well(record)
    return Level(Try(load, "missed" if overloaded else "invalid", num, None), record, summary, file, reason)


def generated_well(record: "RunRecord") -> bool:
    """Return whether the load came as it was meant to: a run that is INVALID then tells of the server."""
    lag_s = validity.lag_p99(record)
    return lag_s is not None and lag_s <= validity.MOST_LAG_P99_S and record.health.cpu_share <= validity.MOST_CPU_SHARE


def shown_level(levels: list[Level], found: HighestLoad) -> Level | None:
    """Return the run whose report stands for the search: the last that kept the threshold at the highest load."""
    at_highest = [level for level in levels if level.tried.load == found.load and level.tried.outcome == "met"]
    return next(reversed(at_highest or levels), None)


def search_exit_code(search: Search, found: HighestLoad) -> int:
    """Return 130, or 0 with a highest load, 99 when even the lowest missed, 30 when no run could be judged."""
    if search.interrupted:
        return EXIT_INTERRUPTED
    if found.load is not None:
        return 0
    return EXIT_BREACHED if any(one.outcome == "missed" for one in search.tries) else EXIT_INVALID


def search_document(search: Search, found: HighestLoad, shown: Level | None) -> dict[str, Any]:
    """Return the document: `search`, and as `run` that of the run at the highest load."""
    return {
        "search": {
            "slo": search.slo.text,
            "unit": "calls at a time" if search.plan.whole else "calls a minute",
            **asdict(found),
            "levels": [
                {**asdict(level.tried), "reason": level.reason, "record": level.file} for level in search.levels
            ],
        },
        "run": None if shown is None else run_document(shown.record, shown.summary),
        "files": search.outputs.names() | {"record": None if shown is None else shown.file},
        "interrupted": search.interrupted,
        "exit_code": search_exit_code(search, found),
    }


def _render(console: Any, plan: "LoadPlan", search: Search, found: HighestLoad, shown: Level | None) -> None:
    from voicectl.cli.bench_table import print_run, print_search

    print_search(console, headline(plan, search, found), [_row(plan, level) for level in search.levels])
    if shown is not None:
        console.print(f"\nthe run at {level_text(plan, shown.tried.load)}:\n", markup=False)
        print_run(console, shown.record, shown.summary, search.outputs.names() | {"record": shown.file})


def headline(plan: "LoadPlan", search: Search, found: HighestLoad) -> list[str]:
    """Return the answer in words: the highest load with its interval, or the best that was seen."""
    slo = search.slo.text
    if found.load is None:
        lines = [f"no load keeps {slo}: {found.reason}"]
        if found.best_load is not None and found.best_value is not None:
            lines.append(
                f"the best seen is {_value(search.slo, found.best_value)} at {level_text(plan, found.best_load)}"
            )
        elif search.levels:
            lines.append(f"the last run: {search.levels[-1].reason}")
            lines.append("a longer --duration gives more turns to judge by")
        return lines
    low = "0" if found.low is None else f"{found.low:g}"
    high = "unknown" if found.high is None else f"{found.high:g}"
    return [f"highest load that keeps {slo}: {level_text(plan, found.load)} [{low} – {high}]", found.reason]


def _row(plan: "LoadPlan", level: Level) -> tuple[str, str, str]:
    return level_text(plan, level.tried.load), level.tried.outcome, level.reason


def _value(slo: Slo, value: float) -> str:
    return f"{100 * value:.1f} %" if slo.share is None else f"{1000 * value:,.0f} ms"
