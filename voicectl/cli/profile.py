"""`voicectl profile`: what can run on which hardware."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from voicectl.cli.options import JsonOption, SetOption
from voicectl.cli.output import Output

if TYPE_CHECKING:
    from rich.console import Console

    from voicectl.core.profile import Profile

app = typer.Typer(no_args_is_help=True, add_completion=False, help="List, show and check profiles.")

Name = Annotated[str | None, typer.Argument(metavar="NAME|FILE", help="A packaged profile, or a .yaml file.")]


@app.command("list", epilog="Example: voicectl profile list")
def list_command(*, json: JsonOption = False) -> None:
    """List the packaged profiles and their models."""
    from voicectl.core.config import load_profile, packaged_profiles

    # What the environment overrides is not what came in the package.
    profiles = [load_profile(name, environment={}) for name in packaged_profiles()]

    def render(console: "Console") -> None:
        for profile in profiles:
            console.print(f"[bold]{profile.name}[/]  {profile.description}")
            console.print(f"    {_needs(profile)}", style="dim")
            models = profile.models
            console.print(f"    {models.stt}, {models.llm}, {models.tts}", style="dim")

    document = {"profiles": [profile.model_dump(mode="json") for profile in profiles]}
    Output(json=json).result(document, render)


@app.command("show", epilog="Example: voicectl profile show cpu > mine.yaml")
def show_command(name: Name = None, *, settings: SetOption = None, json: JsonOption = False) -> None:
    """Print a profile with every default, flag and environment variable applied."""
    from voicectl.core.config import load_profile

    document: dict[str, Any] = load_profile(name, overrides=settings or ()).model_dump(mode="json")
    text = _as_yaml(document)
    Output(json=json).result(document, lambda console: console.print(text, end="", markup=False, soft_wrap=True))


@app.command("validate", epilog="Example: voicectl profile validate mine.yaml")
def validate_command(name: Name = None, *, settings: SetOption = None, json: JsonOption = False) -> None:
    """Check a profile: its keys, its values, and that models.lock knows its models."""
    from voicectl.core.config import load_profile

    profile = load_profile(name, overrides=settings or ())
    check_models(profile)
    document = {"profile": profile.name, "valid": True}
    Output(json=json).result(document, lambda console: console.print(f"{profile.name}: valid"))


def check_models(profile: "Profile") -> None:
    """Refuse a profile whose models are unknown or do another job. Raises ConfigError."""
    from voicectl.core.errors import ConfigError
    from voicectl.core.lockfile import read_lock

    models = read_lock().models
    by_name = {model.name: model for model in models}
    for place, name in profile.model_names().items():
        role = place.removeprefix("fallback.")
        fitting = ", ".join(model.name for model in models if model.role == role)
        hint = f"models for {role}: {fitting}"
        if name not in by_name:
            raise ConfigError(f"profile {profile.name}: models.{place}: models.lock has no {name!r}", hint=hint)
        if by_name[name].role != role:
            raise ConfigError(
                f"profile {profile.name}: models.{place}: {name} is a model for {by_name[name].role}", hint=hint
            )


def _as_yaml(document: dict[str, Any]) -> str:
    import yaml

    class Dumper(yaml.SafeDumper):
        """A key a line; a list of plain values stays on one."""

    def represent_list(dumper: yaml.SafeDumper, items: list[Any]) -> yaml.Node:
        plain = not any(isinstance(item, dict | list) for item in items)
        return dumper.represent_sequence("tag:yaml.org,2002:seq", items, flow_style=plain)

    Dumper.add_representer(list, represent_list)
    return yaml.dump(document, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=76)


def _needs(profile: "Profile") -> str:
    hardware = profile.hardware
    needs = [f"{hardware.cpu_cores} cores", f"{hardware.memory_gb:g} GB"]
    if hardware.gpu is not None:
        needs.append(f"{hardware.gpu} {hardware.gpu_memory_gb or 0:g} GB")
    return ", ".join(needs)
