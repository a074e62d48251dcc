"""The end of `voicectl bench run` and `report`: keep the record, judge it, write reports, print, exit."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import typer

from voicectl.bench.report.document import exit_code, run_document
from voicectl.cli.bench_judging import Judgement
from voicectl.cli.bench_outputs import Outputs
from voicectl.cli.main import EXIT_INTERRUPTED
from voicectl.cli.output import Output, report_error
from voicectl.core.errors import VoicectlError

if TYPE_CHECKING:
    from rich.console import Console

    from voicectl.bench.run_record import RunRecord
    from voicectl.bench.summary import RunSummary


def finish(
    record: "RunRecord",
    judgement: Judgement,
    outputs: Outputs,
    output: Output,
    *,
    interrupted: bool = False,
    markdown: bool = False,
) -> None:
    """Do all that is left to do, and end the command with the exit code of the run."""
    # The record first: whatever happens next can be done again from it.
    failures = kept(outputs, record)
    summary = judgement.judge(record)
    failures += reported(outputs, record, summary, judgement)
    document: Mapping[str, Any] = {
        **run_document(record, summary),
        "files": outputs.names(),
        "interrupted": interrupted,
    }
    output.result(document, lambda console: _render(console, record, summary, outputs, markdown=markdown))
    if not any(turn.end == "answered" for call in record.calls for turn in call.turns):
        output.note("hint:  `voicectl talk --server URL` holds one call and shows what becomes of it")
    for failure in failures:
        report_error(failure, as_json=False)
    code = EXIT_INTERRUPTED if interrupted else failures[0].exit_code if failures else exit_code(summary)
    if code:
        raise typer.Exit(code)


def kept(outputs: Outputs, record: "RunRecord") -> list[VoicectlError]:
    """Write the record; a disk that has filled up meanwhile must not cost the result on the screen."""
    try:
        outputs.write_record(record)
    except VoicectlError as error:
        return [error]
    return []


def reported(outputs: Outputs, record: "RunRecord", summary: "RunSummary", judgement: Judgement) -> list[VoicectlError]:
    """Write JUnit and the page."""
    try:
        outputs.write_reports(record, summary, judgement.limits())
    except VoicectlError as error:
        return [error]
    return []


def _render(
    console: "Console", record: "RunRecord", summary: "RunSummary", outputs: Outputs, *, markdown: bool
) -> None:
    if markdown:
        from voicectl.bench.report.markdown import markdown_text

        console.out(markdown_text(record, summary), end="", highlight=False)
        return
    from voicectl.cli.bench_table import print_run

    print_run(console, record, summary, outputs.names())
