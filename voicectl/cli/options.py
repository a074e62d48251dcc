"""Options that several commands share, and how they become a profile."""

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from voicectl.core.profile import Profile

ProfileOption = Annotated[
    str | None,
    typer.Option("--profile", "-p", metavar="NAME|FILE", help="What to run; by default VOICECTL_PROFILE, then cpu."),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change one key of the profile; repeatable."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]


def chosen_profile(name: str | None, overrides: list[str] | None) -> "Profile":
    """Return the profile that the options and the environment choose. Raises ConfigError."""
    # pydantic takes longer to import than `--help` may take in all.
    from voicectl.core.config import load_profile

    return load_profile(name, overrides=overrides or ())
