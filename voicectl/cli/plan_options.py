"""The options of `voicectl plan`, by name. Decide nothing."""

from pathlib import Path
from typing import Annotated

import typer

SloOption = Annotated[str, typer.Option("--slo", metavar="PROMISE", help="For example 'v2v_p95<800ms'.")]
CalibrationOption = Annotated[
    Path | None, typer.Option("--calibration", metavar="FILE", help="A calibration; by default that of this host.")
]
RateOption = Annotated[float | None, typer.Option("--calls-per-hour", metavar="N", help="Calls of the busiest hour.")]
DemandOption = Annotated[
    Path | None, typer.Option("--demand", metavar="CSV", help="Calls by hour: hour,calls or timestamp,calls.")
]
DayOption = Annotated[str, typer.Option("--day", metavar="NAME", help="Shape of the day: office or flat.")]
HandleTimeOption = Annotated[str, typer.Option("--handle-time", metavar="TIME", help="Length of a call.")]
TalkRatioOption = Annotated[
    str | None, typer.Option("--talk-ratio", metavar="SHARE", help="Part of a call in which the caller speaks.")
]
LanguageOption = Annotated[
    list[str] | None, typer.Option("--language", metavar="CODE[=SHARE]", help="Languages; repeatable. en")
]
BlockingOption = Annotated[str, typer.Option("--blocking", metavar="SHARE", help="Calls that may find no line.")]
BurstOption = Annotated[float, typer.Option("--burst", metavar="X", min=1, max=100, help="How far traffic leaps.")]
HardwareOption = Annotated[
    str | None, typer.Option("--hardware", metavar="NAME|FILE", help="A data sheet instead of a calibration.")
]
ExtrapolateOption = Annotated[
    bool, typer.Option("--extrapolate", help="Go further than twice beyond what was calibrated.")
]
LlmOption = Annotated[str | None, typer.Option("--model", metavar="NAME", help="What if: language model.")]
QuantisationOption = Annotated[
    str | None, typer.Option("--quantisation", metavar="TYPE", help="What if: q4_0, q4_k_m, q8_0, f16, …")
]
ContextOption = Annotated[
    int | None, typer.Option("--context", metavar="TOKENS", min=256, help="What if: tokens of a conversation.")
]
KvOption = Annotated[str | None, typer.Option("--kv", metavar="TYPE", help="What if: f16 or q8_0 cache.")]
ReplyOption = Annotated[
    int | None, typer.Option("--reply-tokens", metavar="N", min=1, max=4096, help="What if: length of replies.")
]
PriceOption = Annotated[float | None, typer.Option("--price", metavar="USD", min=0, help="Price of a host.")]
PowerOption = Annotated[float | None, typer.Option("--power", metavar="W", min=0, help="Full power of a host.")]
KwhOption = Annotated[float, typer.Option("--kwh", metavar="USD", min=0, help="Price of a kWh.")]
YearsOption = Annotated[float, typer.Option("--years", min=0.5, max=20, help="Depreciation of a host.")]
StaffOption = Annotated[float | None, typer.Option("--staff", metavar="USD", min=0, help="Staff a month.")]
WriteOption = Annotated[
    Path | None, typer.Option("--write", metavar="FILE", help="Write the profile with the settings to apply.")
]
PlotOption = Annotated[Path | None, typer.Option("--plot", metavar="FILE", help="Draw the plan: .svg, .png or .html.")]
CalibrationOutOption = Annotated[
    Path | None, typer.Option("--out", "-o", metavar="FILE", help="Where it goes; by default this host's folder.")
]
LevelOption = Annotated[
    str, typer.Option("--seconds", metavar="TIME", help="How long each of three or four loads lasts.")
]
