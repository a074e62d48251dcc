"""Put a plan's question together: profile, calibration or data sheet, what-ifs, prices. Decides nothing."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import psutil
import yaml

from voicectl.capacity.answer import Plan
from voicectl.capacity.calibration import Calibration, read_calibration
from voicectl.capacity.conversation import REFERENCE, Conversation
from voicectl.capacity.costs import CostInputs
from voicectl.capacity.demand import Demand
from voicectl.capacity.estimate import estimated_speeds
from voicectl.capacity.planner import Place, Question
from voicectl.capacity.prediction import ESTIMATE_ERROR, MODEL_ERROR, Host, Slo
from voicectl.capacity.sheets import HardwareSheet, hardware_sheet, model_sheet, price_sheet
from voicectl.capacity.tuning import thread_settings, tuning_of
from voicectl.capacity.whatif import Brain, extrapolations, moved
from voicectl.core.config import load_profile
from voicectl.core.errors import ConfigError
from voicectl.core.lockfile import read_lock
from voicectl.core.profile import Profile
from voicectl.service.calibrating import calibration_path

BUSY_CORES: Final = 0.3
"""Cores taken by other work while calibrating above which a plan says so."""
CPU_HOST_USD: Final = 1500.0
CPU_HOST_W: Final = 120.0
_MEASURED_KEYS: Final = {"stt": ("compute_type", "beam_size"), "llm": ("requantise",), "tts": ()}
"""Settings that change speeds in ways that nothing here predicts."""


@dataclass(frozen=True, slots=True)
class WhatIf:
    """What the plan assumes in place of the profile's own; None is the profile's."""

    model: str | None = None
    quantisation: str | None = None
    context_tokens: int | None = None
    kv_type: str | None = None
    reply_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Basis:
    """What a plan rests on: a calibration (None: the one of this host), or a data sheet by name."""

    calibration: Path | None = None
    hardware: str | None = None
    extrapolate: bool = False


@dataclass(frozen=True, slots=True)
class Money:
    """What the buyer knows of costs; None is the data sheet's assumption."""

    host_usd: float | None = None
    power_w: float | None = None
    kwh_usd: float = 0.15
    years: float = 4.0
    staff_usd_a_month: float | None = None


@dataclass(frozen=True, slots=True)
class Wanted:
    """A plan as it was asked for."""

    profile: Profile
    demand: Demand
    slo: Slo
    blocking: float
    basis: Basis = field(default_factory=Basis)
    what_if: WhatIf = field(default_factory=WhatIf)
    money: Money = field(default_factory=Money)
    burst_factor: float = 2.0


def question_of(wanted: Wanted) -> Question:
    """Return all that the plan is made from. Raises ConfigError where something is missing or too far away."""
    _check_languages(wanted)
    here = _brain(wanted.profile, wanted.profile.models.llm, WhatIf())
    there = _brain(wanted.profile, wanted.what_if.model or wanted.profile.models.llm, wanted.what_if)
    profile = wanted.profile
    if wanted.basis.hardware is not None:
        return _estimated(wanted, there, hardware_sheet(wanted.basis.hardware))
    path = wanted.basis.calibration or calibration_path(profile.name)
    calibration = read_calibration(path)
    _check_same(calibration, profile, path, own=wanted.basis.calibration is None)
    return _measured(wanted, here, there, calibration, path)


def _estimated(wanted: Wanted, brain: Brain, sheet: HardwareSheet) -> Question:
    profile, models = wanted.profile, model_sheet()
    if not any(worker.device == "cuda" for worker in profile.workers):
        raise ConfigError(
            f"profile {profile.name} runs on the CPU; data sheet {sheet.name} is of a card",
            hint="name a GPU profile, for example --profile gpu-l40s; or calibrate this host",
        )
    stt = models.speech_models.get(profile.models.stt)
    if stt is None:
        raise ConfigError(f"the shape of {profile.models.stt} is not known", hint=", ".join(models.speech_models))
    quality = profile.models.tts.rpartition("-")[2]
    voice_rtf = models.voices.get(quality, max(models.voices.values()))
    speeds = estimated_speeds(
        sheet,
        brain.shape,
        brain.bits,
        stt,
        voice_rtf,
        kv_bytes=brain.kv_token_bytes,
        tts_threads=profile.tts.threads,
    )
    conversation = _conversation(REFERENCE, wanted)
    host = Host(speeds, conversation, tuning_of(profile), ESTIMATE_ERROR)
    element = 2.0 if "float16" in profile.stt.compute_type and "int8" not in profile.stt.compute_type else 1.0
    card_gb = (stt.encoder + stt.decoder) * element / 1e9 + stt.working_gb
    sizes = _sizes_gb(profile)
    place = Place(
        f"{sheet.name}: {sheet.description}",
        sheet.memory_gb,
        sheet.gpu_memory_gb,
        None,
        {"stt": 0.5, "llm": 0.5, "tts": sizes["tts"], "turn": sizes["turn"]},
        card_gb,
    )
    notes = (
        "ESTIMATE: computed from a data sheet, nothing was measured; run `voicectl plan calibrate` on such a host",
        f"the data sheet's price of {sheet.assumed_price_usd:,.0f} USD is an assumption",
    )
    basis = ("ESTIMATE", f"data sheet {sheet.name}")
    return _question(wanted, host, place, brain, basis=basis, notes=notes, sheet=sheet)


def _measured(wanted: Wanted, here: Brain, there: Brain, calibration: Calibration, path: Path) -> Question:
    profile = wanted.profile
    speeds, factors = calibration.speeds, dict[str, float]()
    notes = []
    if there != here:
        speeds, factors = moved(speeds, here, there)
        notes.append(f"what-if: {there.name} was not measured; its speed follows from sizes and operations")
    threads = thread_settings(profile)
    if threads != calibration.threads:
        speeds = speeds.with_threads(calibration.threads, threads)
        notes.append("other threads than were calibrated: their effect is computed by Amdahl's law")
    conversation = _conversation(calibration.conversation, wanted)
    tuning = tuning_of(profile)
    resident = tuning.hot_sessions * conversation.context_tokens
    if tuning.idle_tokens is not None:
        resident = min(resident, tuning.idle_tokens)
    if far := extrapolations(calibration, conversation, resident, factors):
        told = "; ".join(far)
        if not wanted.basis.extrapolate:
            raise ConfigError(
                f"this lies more than twice beyond what was calibrated: {told}",
                hint="calibrate with conversations and a model like these, or add --extrapolate and trust it less",
            )
        notes.append(f"EXTRAPOLATED beyond twice what was calibrated: {told}")
    if calibration.machine.load > BUSY_CORES:
        notes.append(f"other work took {calibration.machine.load:.1f} cores while this host was calibrated: repeat it")
    error = MODEL_ERROR if not far else ESTIMATE_ERROR
    live = calibration.live
    measured = None if live is None else {name: size / 1e9 for name, size in live.memory_bytes.items()}
    machine = calibration.machine
    on_card = "gpu" in speeds.places.values()
    place = Place(
        f"{machine.cores} cores of {machine.processor}",
        machine.memory_bytes / 1e9,
        profile.hardware.gpu_memory_gb if on_card else None,
        measured if there == here else None,
        _sizes_gb(profile) | ({"llm": there.weights_gb} if not on_card else {}),
        _stt_card_gb(profile) if on_card else 0.0,
    )
    basis = ("measured", f"calibration of {calibration.made_at[:16]} ({path.name})")
    host = Host(speeds, conversation, tuning, error)
    return _question(wanted, host, place, there, basis=basis, notes=tuple(notes), sheet=None)


def _question(
    wanted: Wanted,
    host: Host,
    place: Place,
    brain: Brain,
    *,
    basis: tuple[Any, str],
    notes: tuple[str, ...],
    sheet: HardwareSheet | None,
) -> Question:
    money = wanted.money
    price = sheet.assumed_price_usd if sheet else CPU_HOST_USD
    power = sheet.power_w if sheet else CPU_HOST_W
    if sheet is None and money.host_usd is None:
        notes = (*notes, f"a host's price of {CPU_HOST_USD:,.0f} USD and {CPU_HOST_W:.0f} W are assumptions")
    if money.staff_usd_a_month is None:
        notes = (*notes, "staff is not in the costs: give it with --staff")
    costs = CostInputs(
        price if money.host_usd is None else money.host_usd,
        power if money.power_w is None else money.power_w,
        money.kwh_usd,
        money.years,
        money.staff_usd_a_month,
    )
    return Question(
        demand=wanted.demand,
        slo=wanted.slo,
        blocking=wanted.blocking,
        host=host,
        place=place,
        profile=wanted.profile,
        brain=brain,
        costs=costs,
        prices=price_sheet(),
        basis=basis[0],
        basis_text=basis[1],
        notes=notes,
        burst_factor=wanted.burst_factor,
    )


def _conversation(conversation: Conversation, wanted: Wanted) -> Conversation:
    fitted = conversation.fitted(talk_ratio=wanted.demand.talk_ratio, reply_tokens=wanted.what_if.reply_tokens)
    held = fitted.lasting(wanted.demand.handle_s)
    most = wanted.profile.llm.context_tokens / held.turn_tokens
    return replace(held, turns_behind=min(held.turns_behind, most))


def _brain(profile: Profile, name: str, what_if: WhatIf) -> Brain:
    models = model_sheet()
    shape, quantisation = models.language_model(name)
    if what_if.model is None and profile.llm.requantise is not None:
        quantisation = profile.llm.requantise
    quantisation = what_if.quantisation or quantisation
    kv_type = what_if.kv_type or profile.llm.kv_type
    if kv_type not in models.kv_types:
        raise ConfigError(f"no cache is of type {kv_type!r}", hint=f"there are {', '.join(models.kv_types)}")
    return Brain(
        name if what_if.quantisation is None else f"{name} as {quantisation}",
        shape,
        models.bits(quantisation),
        models.kv_types[kv_type],
        what_if.context_tokens or profile.llm.context_tokens,
    )


def _sizes_gb(profile: Profile) -> dict[str, float]:
    lock = read_lock()
    names = profile.models.model_dump()
    return {stage: lock.model(names[stage]).size_bytes / 1e9 for stage in ("stt", "llm", "tts", "turn")}


def _stt_card_gb(profile: Profile) -> float:
    shape = model_sheet().speech_models.get(profile.models.stt)
    return 3.0 if shape is None else (shape.encoder + shape.decoder) * 2 / 1e9 + shape.working_gb


def _check_languages(wanted: Wanted) -> None:
    languages, stt = wanted.demand.languages, wanted.profile.models.stt
    foreign = [code for code in languages if code != "en"]
    if foreign and stt.endswith(".en"):
        raise ConfigError(
            f"{stt} hears English only, the demand has {', '.join(foreign)}",
            hint="choose one that hears more languages, for example --set models.stt=faster-whisper-base",
        )


def _check_same(calibration: Calibration, profile: Profile, path: Path, *, own: bool) -> None:
    """Refuse a calibration that says nothing about this profile, or, where it is this host's, about this host."""
    names = profile.model_names()
    other = [
        f"{role} {calibration.models.get(role)} instead of {names[role]}"
        for role in ("stt", "tts", "turn")
        if calibration.models.get(role) != names[role]
    ]
    if calibration.models.get("llm") != names["llm"]:
        other.append(f"llm {calibration.models.get('llm')} instead of {names['llm']}")
    settings: Mapping[str, Any] = calibration.settings
    for section, keys in _MEASURED_KEYS.items():
        for key in keys:
            now = getattr(getattr(profile, section), key)
            if settings[section].get(key) != now:
                other.append(f"{section}.{key} {settings[section].get(key)} instead of {now}")
    if own and (calibration.machine.cores != (os.cpu_count() or 1) or _memory_differs(calibration)):
        other.append("another machine")
    if other:
        raise ConfigError(
            f"{path}: was made with {', '.join(other)}",
            hint="calibrate anew with `voicectl plan calibrate`, or ask what-ifs with --model and --quantisation",
        )


def _memory_differs(calibration: Calibration) -> bool:
    return abs(calibration.machine.memory_bytes / psutil.virtual_memory().total - 1) > 0.05


def host_of(profile: Profile, path: Path | None) -> Host:
    """Return this host as its calibration describes it, with the profile's threads. Raises ConfigError."""
    file = path or calibration_path(profile.name)
    calibration = read_calibration(file)
    _check_same(calibration, profile, file, own=path is None)
    speeds = calibration.speeds.with_threads(calibration.threads, thread_settings(profile))
    return Host(speeds, calibration.conversation, tuning_of(profile))


def write_profile(plan: Plan, profile: Profile, path: Path) -> None:
    """Write the profile with the plan's settings, once the strict loader has accepted it. Raises ConfigError."""
    document = profile.model_dump(mode="json")
    for setting in plan.settings:
        section, _, key = setting.key.partition(".")
        document[section][key] = setting.wanted
    document["description"] = f"{profile.description} Sized for {plan.sessions} calls with {plan.slo}."
    text = yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=110)
    unfinished = path.with_name(f".{path.stem}.new.yaml")
    try:
        unfinished.write_text(text, encoding="utf-8")
        try:
            load_profile(str(unfinished), environment={})
            unfinished.replace(path)
        finally:
            unfinished.unlink(missing_ok=True)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written: {error.strerror or error}") from error
