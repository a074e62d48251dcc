"""Make sure that the wheels of a bundle need nothing but each other, by the conditions of the target's Python."""

from collections import deque
from collections.abc import Iterator, Sequence

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from voicectl.core.errors import ConfigError, IntegrityError
from voicectl.weights.bundle.requirements import Wheel, wheel_metadata
from voicectl.weights.bundle.targets import Target


def check_closure(wheels: Sequence[Wheel], root: str, target: Target) -> None:
    """Follow what `root` needs on the target. Raises ConfigError naming everything that no wheel gives."""
    problems = sorted(set(_problems({wheel.name: wheel for wheel in wheels}, root, target)))
    if problems:
        raise ConfigError(
            f"the wheels are not complete for {target.name}: {'; '.join(problems)}",
            hint="name what is missing in pyproject.toml, then `make lock`",
        )


def _problems(wheels: dict[str, Wheel], root: str, target: Target) -> Iterator[str]:
    waiting = deque([(root, "")])
    seen = set(waiting)
    while waiting:
        name, extra = waiting.popleft()
        for need in _needs(wheels[name], extra, target):
            wanted = canonicalize_name(need.name)
            found = wheels.get(wanted)
            if found is None:
                yield f"{name} needs {need.name}"
                continue
            if not need.specifier.contains(found.version, prereleases=True):
                yield f"{name} needs {need.name}{need.specifier}, not {found.version}"
            fresh = {(wanted, more) for more in ("", *need.extras)} - seen
            seen |= fresh
            waiting.extend(sorted(fresh))
        asked = wheel_metadata(wheels[name].path).get("Requires-Python")
        if asked and not SpecifierSet(asked).contains(target.python_full):
            yield f"{name} needs Python {asked}, not {target.python_full}"


def _needs(wheel: Wheel, extra: str, target: Target) -> Iterator[Requirement]:
    environment = {**target.markers, "extra": extra}
    for text in wheel_metadata(wheel.path).get_all("Requires-Dist", []):
        try:
            need = Requirement(str(text))
        except InvalidRequirement as error:
            raise IntegrityError(f"{wheel.path.name}: cannot read what it needs: {error}") from error
        if need.marker is None or need.marker.evaluate(environment):
            yield need
