"""How plans, calibrations and validations look in a terminal of 80 columns. Decides nothing."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from voicectl.capacity.answer import Plan
    from voicectl.capacity.calibration import Calibration
    from voicectl.capacity.memory import MemoryMap
    from voicectl.capacity.prediction import Band, Prediction
    from voicectl.service.validating import Validation

BAR = 24


def render_plan(console: "Console", plan: "Plan") -> None:
    """Print a plan."""
    _say(console, f"{plan.basis}: {plan.basis_text}", bold=True)
    for note in plan.notes:
        _say(console, f"  note: {note}")
    _say(console, f"\nprofile {plan.profile} on {plan.hardware}")
    if not plan.sessions:
        _impossible(console, plan)
    else:
        knee = plan.knee
        _say(console, f"\n{plan.sessions} sessions a host, limited by {plan.limiting}", bold=True)
        _say(console, f"  promise {plan.slo} holds up to {knee.calls} [{knee.low} to {knee.high}] at once")
    _limits(console, plan)
    _latency(console, plan)
    _hosts(console, plan)
    if plan.card is not None:
        _memory(console, "memory of the card", plan.card)
    _memory(console, "memory of the host", plan.ram)
    _costs(console, plan)
    if plan.settings:
        _say(console, "\nsettings to apply (--write FILE)", bold=True)
        for setting in plan.settings:
            _say(console, f"  {setting.key} = {setting.wanted}  (now {setting.now}): {setting.why}")


def _impossible(console: "Console", plan: "Plan") -> None:
    best = plan.knee.best_s
    if best > 0 and plan.knee.calls == 0:
        _say(console, f"\nthe promise {plan.slo} cannot be kept here, not even for one call", bold=True)
        _say(console, f"  best achievable: {best * 1000:.0f} ms with one call; a shorter pause that ends turns,")
        _say(console, "  a smaller model or faster hardware would lower it")
    else:
        _say(console, f"\nnothing fits: {plan.limiting}", bold=True)


def _limits(console: "Console", plan: "Plan") -> None:
    table = _table("what bounds a host", "sessions", "why")
    for limit in plan.limits:
        table.add_row(limit.name, "-" if limit.sessions is None else str(limit.sessions), limit.why)
    _put(console, table)
    table = _table("a session takes", "of", "share")
    total = sum(share.cores for share in plan.shares) or 1.0
    for share in sorted(plan.shares, key=lambda one: -one.cores):
        where = "card" if share.place == "gpu" else "cores"
        table.add_row(share.stage, f"{share.cores:.4f} {where}", _bar(share.cores / total))
    _put(console, table)


def _latency(console: "Console", plan: "Plan") -> None:
    table = _table("voice to voice, ms", "P50", "P95", "P99", "busy")
    rows: list[tuple[str, Prediction]] = []
    if plan.at_peak is not None:
        rows.append((f"peak, {plan.at_peak.num_calls} calls a host", plan.at_peak))
    rows.append((f"full, {plan.at_full.num_calls} calls a host", plan.at_full))
    for name, found in rows:
        busy = " ".join(f"{pool} {part:.0%}" for pool, part in found.busy.items() if part > 0.005)
        table.add_row(name, *(_band(band) for band in (found.p50, found.p95, found.p99)), busy)
    _put(console, table)
    _say(console, "  in brackets: where 95 of 100 measured ones should lie")


def _hosts(console: "Console", plan: "Plan") -> None:
    _say(console, f"\npeak at {plan.peak_start}: {plan.peak_calls:.0f} calls an hour, {plan.peak_erlangs:.1f} at once")
    if plan.hosts is None:
        return
    table = _table("hosts", "lines", "hosts", "with one lost", "blocking", "one lost, no spare")
    for pool in plan.pools:
        hosts = pool.hosts
        table.add_row(
            f"{pool.language} {pool.share:.0%}",
            str(hosts.lines),
            str(hosts.hosts),
            str(hosts.hosts_with_loss),
            f"{hosts.blocking:.2%}",
            f"{hosts.blocking_without_spare:.1%}",
        )
    _put(console, table)
    burst = plan.burst
    if burst is not None:
        full = "lines suffice" if burst.full_after_s is None else f"lines short after {burst.full_after_s:.0f} s"
        _say(
            console,
            f"  traffic x {burst.factor:g} for {burst.lasting_s:.0f} s: {full}, {burst.waited:.1f} calls wait"
            f" (up to {burst.longest_wait_s:.1f} s),\n  {burst.refused:.1f} of {burst.offered:.0f} refused"
            f" ({burst.refused_share:.1%}), as before {burst.recovered_s:.0f} s after its end",
        )


def _memory(console: "Console", title: str, memory: "MemoryMap") -> None:
    fits = "" if memory.fits else "  DOES NOT FIT"
    table = _table(title, "GB", f"of {memory.total_gb:.0f} GB{fits}")
    for name, size_gb in memory.parts_gb.items():
        table.add_row(name, f"{size_gb:.2f}", _bar(size_gb / memory.total_gb))
    table.add_row("free", f"{memory.total_gb - memory.used_gb:.2f}", "")
    _put(console, table)


def _costs(console: "Console", plan: "Plan") -> None:
    costs = plan.costs
    if costs is None:
        return
    staff = "staff not given" if costs.staff_usd is None else f"staff {costs.staff_usd:,.0f}"
    _say(console, f"\ncosts of {plan.hosts_with_loss} hosts, US dollars", bold=True)
    _say(
        console,
        f"  a month {costs.month_usd:,.0f} (depreciation {costs.depreciation_usd:,.0f}, power {costs.power_usd:,.0f},"
        f" {staff})\n  a minute {costs.minute_usd:.4f} at {costs.minutes_a_month:,.0f} minutes a month;"
        f" telephony on top {costs.telephony_low_usd:g} to {costs.telephony_high_usd:g}",
    )
    table = _table("hosted", "a minute", "a month", "what")
    for one in costs.hosted:
        table.add_row(
            one.name,
            _range(one.low_usd, one.high_usd, ".2f"),
            _range(one.month_low_usd, one.month_high_usd, ",.0f"),
            one.what,
        )
    _put(console, table)
    if costs.break_even_minutes is not None:
        _say(
            console,
            f"  own hosts are cheaper than the cheapest from {costs.break_even_minutes:,.0f} minutes a month on",
        )
    _say(console, f"  source: {costs.source}")


def render_calibration(console: "Console", calibration: "Calibration", path: Path) -> None:
    """Print a calibration."""
    machine = calibration.machine
    _say(console, f"calibrated {calibration.profile} in {calibration.took_s:.0f} s: {path}", bold=True)
    _say(console, f"  {machine.cores} cores of {machine.processor}; other work took {machine.load:.2f} cores")
    table = _table("work", "timed", "error rms", "worst", "range")
    for one in calibration.residuals:
        ranges = ", ".join(f"{name} {low:.4g} to {high:.4g}" for name, (low, high) in one.ranges.items())
        table.add_row(one.work, str(one.num), f"{one.rms:.0%}", f"{one.worst:.0%}", ranges)
    _put(console, table)
    speeds = calibration.speeds
    table = _table("takes, ms", "")
    table.add_row("transcription of 3 s", f"{speeds.stt(1000, 3.0) * 1000:.0f}")
    table.add_row("end of turn", f"{speeds.turn_s * 1000:.0f}")
    table.add_row("prompt of 20 / 64 tokens", f"{speeds.prefill(20) * 1000:.0f} / {speeds.prefill(64) * 1000:.0f}")
    table.add_row("token of 1 / 8 replies", f"{speeds.decode(1, 300) * 1000:.1f} / {speeds.decode(8, 2400) * 1000:.1f}")
    table.add_row("first sound of a clause", f"{(speeds.front(1.5) + speeds.chunk(0.46)) * 1000:.0f}")
    _put(console, table)
    _say(console, f"  one core is {speeds.crowd_speed:.0%} as fast while all are busy")


def validation_document(found: "Validation") -> dict[str, Any]:
    """Return a validation as JSON knows it."""
    document = asdict(found)
    document["slo"] = str(found.slo)
    document["error"] = found.error
    for level, shown in zip(found.levels, document["levels"], strict=True):
        shown["inside"] = level.inside
    return document


def render_validation(console: "Console", found: "Validation") -> None:
    """Print predicted against measured."""
    table = _table("calls at once", "turns", "unanswered", "predicted P95, ms", "measured", "")
    for level in found.levels:
        inside = "inside" if level.inside else "OUTSIDE"
        measured = f"{level.measured_s * 1000:.0f}"
        table.add_row(
            str(level.calls), str(level.num_turns), str(level.unanswered), _band(level.predicted), measured, inside
        )
    _put(console, table)
    measured_calls = "not reached" if found.measured_calls is None else f"{found.measured_calls:.1f}"
    error = "" if found.error is None else f" ({found.error:+.0%})"
    _say(
        console,
        f"highest load with {found.slo}: predicted {found.predicted_calls} "
        f"[{found.predicted_low} to {found.predicted_high}], measured {measured_calls}{error}",
        bold=True,
    )


def _table(first: str, *others: str) -> "Table":
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column(first, overflow="fold")
    for name in others:
        table.add_column(name, overflow="fold")
    return table


def _put(console: "Console", table: "Table") -> None:
    # A pipe has no width of its own.
    console.print()
    console.print(table, width=min(console.width, 100), soft_wrap=False)


def _say(console: "Console", text: str, *, bold: bool = False) -> None:
    console.print(text, markup=False, style="bold" if bold else None)


def _band(band: "Band") -> str:
    return f"{band.value * 1000:.0f} [{band.low * 1000:.0f}-{band.high * 1000:.0f}]"


def _range(low: float, high: float, shape: str) -> str:
    return f"{low:{shape}}" if low == high else f"{low:{shape}}-{high:{shape}}"


def _bar(part: float) -> str:
    return "#" * max(0, min(BAR, round(part * BAR))) or "."
