"""`voicectl gate`: may a use case move one risk tier up? Checks, signs, promotes, demotes and shows."""

import getpass
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from voicectl.cli.options import JsonOption, ProfileOption, SetOption, chosen_profile
from voicectl.cli.output import Output, report_error
from voicectl.core.errors import UsageError, VoicectlError

if TYPE_CHECKING:
    from rich.console import Console

    from voicectl.core.records import Tier
    from voicectl.governance.gate.desk import Desk
    from voicectl.governance.gate.verdict import Verdict
    from voicectl.governance.policy.load import LoadedPolicy
    from voicectl.governance.rollout.state import Enforcement

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Decide whether a use case may move a tier up.")

TierOption = Annotated[str, typer.Option("--to", metavar="TIER", help="The tier to open: low, medium or high.")]
UseCaseOption = Annotated[
    list[str] | None, typer.Option("--use-case", metavar="NAME", help="Only this use case of the tier; repeatable.")
]
PolicyOption = Annotated[
    Path | None,
    typer.Option("--policy", metavar="FILE", envvar="VOICECTL_GATE_POLICY", help="By default the host's, then ours."),
]
ReviewersOption = Annotated[
    Path | None,
    typer.Option("--reviewers", metavar="FILE", envvar="VOICECTL_GATE_REVIEWERS", help="Who may sign, by which keys."),
]
EvidenceOption = Annotated[
    Path | None,
    typer.Option("--evidence", metavar="FILE", envvar="VOICECTL_GATE_EVIDENCE", help="What people vouch for."),
]
ByOption = Annotated[str | None, typer.Option("--by", metavar="NAME", help="Who does it; by default the user.")]


@app.command("check", epilog="Example: voicectl gate check --to medium --format sarif --output gate.sarif")
def check_command(
    *,
    to: TierOption,
    use_cases: UseCaseOption = None,
    policy: PolicyOption = None,
    evidence: EvidenceOption = None,
    reviewers: ReviewersOption = None,
    output_format: Annotated[
        Literal["text", "json", "junit", "sarif", "markdown"], typer.Option("--format", help="How to tell it.")
    ] = "text",
    output_file: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write it there instead of stdout.")
    ] = None,
    profile: ProfileOption = None,
    settings: SetOption = None,
    json: JsonOption = False,
) -> None:
    """Tell whether everything holds that the policy asks for, and what is missing. Changes nothing.

    Exit 0: it may be promoted. 20 hold, 21 a criterion failed, 22 evidence missing or stale, 23 sign-off missing,
    24 policy invalid, 25 audit log broken, 26 zero-tolerance event.
    """
    from voicectl.governance.gate.outputs import FORMATS, document

    if json:
        output_format = "json"
    if output_file is not None and output_format == "text":
        raise UsageError("--output writes no text", hint="give --format json, junit, sarif or markdown, too")
    if output_file is not None:
        _remove_earlier(output_file)
    output = Output(json=json)
    try:
        desk = _desk(policy, evidence, reviewers, profile, settings)
        verdict = desk.check(_tier(to), use_cases or ())
    except VoicectlError as error:
        if output_format != "text":
            _fail(error, output_format, to=to, policy=policy, output_file=output_file)
        raise
    if output_format != "text":
        _deliver(FORMATS[output_format](verdict, desk.policy), output_file, output)
    else:
        output.result(document(verdict, desk.policy), lambda console: _render(console, verdict, desk.policy))
    if verdict.exit_code:
        raise typer.Exit(verdict.exit_code)


def _fail(error: VoicectlError, output_format: str, *, to: str, policy: Path | None, output_file: Path | None) -> None:
    """Tell an error in the place of the verdict, and end with its exit code."""
    from voicectl.governance.gate.failures import FAILURES
    from voicectl.governance.policy.load import PACKAGED
    from voicectl.governance.rollout.load import policy_file

    text = FAILURES[output_format](error, to, policy or policy_file() or PACKAGED)
    _deliver(text, output_file, Output())
    report_error(error, as_json=False)
    raise typer.Exit(error.exit_code) from error


def _deliver(text: str, output_file: Path | None, output: Output) -> None:
    if output_file is None:
        output.text(text)
    else:
        _write(output_file, text)
        output.note(f"{output_file}: written")


def _remove_earlier(path: Path) -> None:
    """Remove the report of an earlier check: however this one ends, that one must not pass for it."""
    if path.is_symlink() or not path.is_file():
        return
    try:
        path.unlink()
    except OSError as error:
        raise UsageError(f"{path}: cannot be replaced: {error.strerror}", hint="name another place") from error


@app.command(
    "sign", epilog="Example: voicectl gate sign --to medium --reviewer 'A Name' --role compliance_officer -k KEY"
)
def sign_command(
    *,
    to: TierOption,
    reviewer: Annotated[str, typer.Option("--reviewer", metavar="NAME", help="Your name.")],
    role: Annotated[str, typer.Option("--role", metavar="ROLE", help="The role that you sign in.")],
    key: Annotated[Path, typer.Option("--key", "-k", metavar="KEY", help="Your key, or its .pub.")],
    use_cases: UseCaseOption = None,
    renew: Annotated[bool, typer.Option("--renew", help="Begin anew with the evidence of now.")] = False,
    policy: PolicyOption = None,
    evidence: EvidenceOption = None,
    reviewers: ReviewersOption = None,
    profile: ProfileOption = None,
    settings: SetOption = None,
    json: JsonOption = False,
) -> None:  # fmt: skip
    """Sign for opening a tier. Works only while everything else holds.

    The signature is bound to the policy, the evidence as of the first signature, what answered the calls, the audit
    log and the rollout state: a change of any of them makes it worthless.
    """
    desk = _desk(policy, evidence, reviewers, profile, settings)
    path = desk.sign(_tier(to), use_cases or (), reviewer=reviewer, role=role, key=key, renew=renew)
    state = desk.check(_tier(to), use_cases or ()).signoff
    output = Output(json=json)
    output.result(
        {"signoff": str(path), "reviewer": reviewer, "role": role, "missing": list(state.missing)},
        lambda console: console.print(f"{path}: signed by {reviewer} as {role}", markup=False),
    )
    for missing in state.missing:
        output.note(f"missing: {missing}")


@app.command("promote", epilog="Example: voicectl gate promote --to medium")
def promote_command(
    *,
    to: TierOption,
    use_cases: UseCaseOption = None,
    by: ByOption = None,
    policy: PolicyOption = None,
    evidence: EvidenceOption = None,
    reviewers: ReviewersOption = None,
    profile: ProfileOption = None,
    settings: SetOption = None,
    json: JsonOption = False,
) -> None:
    """Check everything once more, and open the tier: its use cases get traffic from then on."""
    from voicectl.governance.gate.outputs import document

    desk = _desk(policy, evidence, reviewers, profile, settings)
    verdict = desk.promote(_tier(to), use_cases or (), by=_who(by))
    opened = ", ".join(verdict.use_cases)
    Output(json=json).result(
        {"promoted": list(verdict.use_cases), "tier": verdict.tier, "verdict": document(verdict, desk.policy)},
        lambda console: console.print(f"tier {verdict.tier} is open to {opened}", markup=False),
    )


@app.command("demote", epilog="Example: voicectl gate demote faq --reason 'wrong opening hours told'")
def demote_command(
    use_cases: Annotated[list[str], typer.Argument(metavar="USE_CASE...", help="What gets no traffic any more.")],
    *,
    reason: Annotated[
        str, typer.Option("--reason", metavar="TEXT", help="Why; callers' new agents and auditors see it.")
    ],
    by: ByOption = None,
    policy: PolicyOption = None,
    profile: ProfileOption = None,
    settings: SetOption = None,
    json: JsonOption = False,
) -> None:
    """Take use cases out of traffic at once. Needs no evidence and no signature."""
    from voicectl.governance.policy.persons import in_a_line

    said = in_a_line(reason)
    if not said:
        raise UsageError("--reason is empty", hint="say why: it is kept in the audit log")
    desk = _desk(policy, None, None, profile, settings)
    state = desk.demote(use_cases, by=_who(by), reason=said)
    Output(json=json).result(
        {"demoted": use_cases, "reason": said, "serial": state.serial},
        lambda console: console.print(f"{', '.join(use_cases)}: no traffic any more", markup=False),
    )


@app.command("status", epilog="Example: voicectl gate status --json")
def status_command(
    *,
    policy: PolicyOption = None,
    reviewers: ReviewersOption = None,
    profile: ProfileOption = None,
    settings: SetOption = None,
    json: JsonOption = False,
) -> None:
    """Show which use cases get traffic, in which tier, since when, and why others do not.

    Exit 25: the state cannot be believed, and nothing is open.
    """
    from voicectl.governance.policy.errors import AuditBroken

    desk = _desk(policy, None, reviewers, profile, settings)
    enforcement = desk.enforcement()
    rows = _status_rows(enforcement)
    output = Output(json=json)
    if enforcement.state.problem is not None:
        output.note(f"nothing is open: {enforcement.state.problem}")
    output.note(
        "this is what the files say; a running service may be stricter: it knows the changes that it has seen, and "
        "whether its alerts are overdue"
    )
    document = {
        "policy": {"path": str(desk.policy.path), "sha256": desk.policy.sha256},
        "state": {
            "path": str(desk.state_file),
            "serial": enforcement.state.serial,
            "problem": enforcement.state.problem,
        },
        "use_cases": rows,
    }
    output.result(document, lambda console: _render_status(console, rows))
    if enforcement.state.problem is not None:
        raise typer.Exit(AuditBroken.exit_code)


@app.command("rules", epilog="Example: voicectl gate rules --output /etc/prometheus/rules")
def rules_command(
    *,
    output_folder: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="Where the files go.")],
    policy: PolicyOption = None,
    json: JsonOption = False,
) -> None:
    """Write Prometheus rules for the policy's alerts, and tests of them for `promtool test rules`."""
    from voicectl.governance.alerts.rule_tests import written_files

    files = written_files(_policy(policy).document)
    for name, text in files:
        _write(output_folder / name, text)
    paths = [str(output_folder / name) for name, _ in files]
    Output(json=json).result({"files": paths}, lambda console: console.print("\n".join(paths), markup=False))


def _who(by: str | None) -> str:
    """Return who does it: the name given, else that of the user, who need not have one."""
    if by is not None and by.strip():
        return by
    try:
        return getpass.getuser()
    except (ImportError, KeyError, OSError):
        return f"uid:{os.getuid()}"


def _policy(path: Path | None) -> "LoadedPolicy":
    from voicectl.governance.policy.load import load_policy
    from voicectl.governance.rollout.load import policy_file

    return load_policy(path or policy_file())


def _desk(
    policy: Path | None,
    evidence: Path | None,
    reviewers: Path | None,
    profile: str | None,
    settings: list[str] | None,
) -> "Desk":  # fmt: skip
    from voicectl.service.governing.desk import desk_of

    return desk_of(chosen_profile(profile, settings), policy=policy, reviewers=reviewers, evidence=evidence)


def _tier(name: str) -> "Tier":
    from voicectl.governance.policy.schema import TIERS

    for tier in TIERS:
        if tier == name:
            return tier
    raise UsageError(f"--to {name}: no such tier", hint=f"tiers are {', '.join(TIERS)}")


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{path}: cannot be written: {error.strerror}", hint="name another place") from error


def _render(console: "Console", verdict: "Verdict", policy: "LoadedPolicy") -> None:
    from rich.markup import escape
    from rich.table import Table

    from voicectl.governance.gate.explanation import HEADLINES, lines, next_step

    styles = {"ok": "green", "note": "dim", "hold": "yellow", "fail": "bold red"}
    console.print(f"tier {verdict.tier}: {HEADLINES[verdict.decision]}", style="bold", markup=False)
    found = list(lines(verdict, policy.policy))
    if console.soft_wrap:
        for line in found:
            console.print(f"{line.level:5} {line.name}: {line.text}", markup=False)
    else:
        table = Table(box=None, pad_edge=False, show_header=False)
        table.add_column("level", no_wrap=True)
        table.add_column("name", overflow="fold", max_width=28)
        table.add_column("text", overflow="fold")
        for line in found:
            table.add_row(f"[{styles[line.level]}]{line.level}[/]", escape(line.name), escape(line.text))
        console.print(table)
    console.print(f"next: {next_step(verdict)}", markup=False)


def _status_rows(enforcement: "Enforcement") -> list[dict[str, Any]]:
    from voicectl.core.rollout import Admitted
    from voicectl.governance.policy.persons import shown

    rows = []
    for tier, rules in enforcement.policy.tiers.items():
        for use_case in rules.use_cases:
            found = enforcement.admit(use_case)
            is_open = isinstance(found, Admitted)
            rows.append(
                {
                    "use_case": use_case,
                    "tier": tier,
                    "open": is_open,
                    "since": enforcement.state.entered_at(use_case) if is_open else None,
                    "reason": None if isinstance(found, Admitted) else shown(found.reason),
                }
            )
    return rows


def _render_status(console: "Console", rows: list[dict[str, Any]]) -> None:
    from datetime import UTC, datetime

    from rich.markup import escape
    from rich.table import Table

    table = Table("use case", "tier", "traffic", "since or why not", box=None, pad_edge=False)
    table.columns[3].overflow = "fold"
    for row in rows:
        since = "" if row["since"] is None else f"{datetime.fromtimestamp(row['since'], UTC):%Y-%m-%d %H:%M} UTC"
        traffic = "[green]yes[/]" if row["open"] else "[yellow]no[/]"
        table.add_row(row["use_case"], row["tier"], traffic, escape(row["reason"] or since))
    console.print(table)
