"""Make a bundle out of a checkout: decide what belongs into it, collect each part, list it, write it."""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from voicectl.core.errors import ConfigError
from voicectl.core.lockfile import Lock, LockedModel, lock_of, render_lock
from voicectl.core.profile import Profile
from voicectl.weights.bundle.closure import check_closure
from voicectl.weights.bundle.cuda import Cuda, check_driver, driver_packages, find_cuda
from voicectl.weights.bundle.debs import INDEX, Apt, packages_index
from voicectl.weights.bundle.manifest import Compatible, GpuNeeds, Manifest, problems_in
from voicectl.weights.bundle.nativewheel import NativeWheel
from voicectl.weights.bundle.requirements import Wheel, render_requirements
from voicectl.weights.bundle.sbom import deb_components, model_components, render_sbom, wheel_components
from voicectl.weights.bundle.startfile import STARTER_NAME, starter_program
from voicectl.weights.bundle.targets import CPU_FLAGS, Target
from voicectl.weights.bundle.verify import OnProgress
from voicectl.weights.bundle.wheels import BUILD_LOCK, RUNTIME_LOCK, BuildTools, build_own_wheel, fetch_wheels
from voicectl.weights.bundle.write import SUFFIX, Placed, listed, write_bundle
from voicectl.weights.store import Store

OWN_PACKAGE: Final = "voicectl"
SLOW_VOICE: Final = "espeak-ng"


@dataclass(frozen=True, slots=True)
class Recipe:
    """What goes into a bundle. `source` is a checkout, `apt_sources` where Debian packages come from, by file name.

    `driver_kernels` are the hosts' kernels that the GPU driver is carried for; without any it must be there already.
    """

    source: Path
    target: Target
    profiles: tuple[Profile, ...]
    lock: Lock
    serial: int
    min_from_version: str | None
    apt_sources: Mapping[str, str]
    driver_kernels: tuple[str, ...] = ()

    @property
    def on_gpu(self) -> bool:
        """Tell whether a profile runs on a GPU."""
        return any(worker.device == "cuda" for profile in self.profiles for worker in profile.workers)

    @property
    def packages(self) -> tuple[str, ...]:
        """Return the Debian packages that the target needs for these profiles."""
        speaks = any(profile.fallback.voice is not None for profile in self.profiles)
        driver = driver_packages(self.driver_kernels) if self.driver_kernels else ()
        return tuple(sorted({*self.target.packages, *([SLOW_VOICE] if speaks else []), *driver}))

    @property
    def models(self) -> tuple[LockedModel, ...]:
        """Return the models of the profiles, each once."""
        names = {name for profile in self.profiles for name in profile.model_names().values()}
        return tuple(self.lock.model(name) for name in sorted(names))


@dataclass(frozen=True, slots=True)
class Built:
    """A bundle that was written."""

    path: Path
    manifest: Manifest


def checkout() -> Path:
    """Return the checkout that this voicectl runs from. Raises ConfigError when it runs from an installed wheel."""
    import voicectl

    source = Path(voicectl.__file__).parent.parent
    absent = [
        name for name in ("pyproject.toml", RUNTIME_LOCK, BUILD_LOCK, "playbooks") if not (source / name).exists()
    ]
    if absent:
        raise ConfigError(
            f"{source}: not a checkout of voicectl, it has no {', '.join(absent)}",
            hint="build bundles from a checkout: `make install`, then `.venv/bin/voicectl bundle build`",
        )
    return source


def build_bundle(
    recipe: Recipe,
    store: Store,
    cache: Path,
    golden: Mapping[str, bytes],
    output: Path,
    *,
    on_step: Callable[[str], None],
    on_progress: OnProgress | None = None,
) -> Built:
    """Collect every part, and write the unsigned bundle into the folder `output`.

    `golden` are the files of `golden/` by name. Downloads and compiled wheels are kept in `cache`. Raises
    ArtifactMissing for weights that are not in the store, IntegrityError for wrong bytes, BuildFailed.
    """
    tools = BuildTools(recipe.source, cache)
    with tempfile.TemporaryDirectory(prefix="voicectl-bundle-") as folder:
        scratch = Path(folder)
        on_step("checking the weights")
        placed = _weights(recipe, store)
        on_step("collecting Python packages")
        cuda = find_cuda() if recipe.on_gpu else None
        wheels = _wheels(recipe, tools, cache, scratch, cuda, on_step)
        on_step("collecting Debian packages")
        debs = Apt(recipe.target, cache, recipe.apt_sources).fetch(recipe.packages)
        if cuda is not None and recipe.driver_kernels:
            check_driver(cuda, [deb.name for deb in debs])
        on_step("writing the bill of materials")
        own = next(wheel for wheel in wheels if wheel.name == OWN_PACKAGE)
        name = f"voicectl-{own.version}-{recipe.target.name}-{recipe.target.arch}"
        components = [
            *wheel_components(wheels),
            *deb_components(debs, recipe.target.codename),
            *model_components(recipe.models),
        ]
        rendered = {
            "models.lock": render_lock(lock_of(recipe.models, name="models.lock")).encode(),
            "requirements.txt": render_requirements(wheels).encode(),
            "sbom.spdx.json": render_sbom(name, components),
            STARTER_NAME: starter_program(),
            f"debs/{INDEX}": packages_index(debs).encode(),
            **{f"golden/{file}": content for file, content in golden.items()},
        }
        placed += _rendered(rendered, scratch / "rendered")
        placed += [Placed(f"wheels/{wheel.path.name}", wheel.path) for wheel in wheels]
        placed += [Placed(f"debs/{deb.name}", deb.path) for deb in debs]
        placed += _playbooks(recipe.source / "playbooks")
        on_step("listing every file")
        manifest = _manifest(recipe, own.version, cuda, placed)
        path = output / f"{name}{SUFFIX}"
        on_step(f"writing {path}")
        write_bundle(path, manifest, placed, on_progress=on_progress)
    return Built(path, manifest)


def _weights(recipe: Recipe, store: Store) -> list[Placed]:
    checks = store.check(recipe.models)
    problems = [check.problem for check in checks if check.problem]
    for problem in sorted(problems, key=lambda problem: problem.exit_code):
        raise problem
    digests = sorted({file.sha256 for model in recipe.models for file in model.files})
    return [Placed(f"blobs/sha256/{digest[:2]}/{digest}", store.blob_path(digest)) for digest in digests]


def _wheels(
    recipe: Recipe,
    tools: BuildTools,
    cache: Path,
    scratch: Path,
    cuda: Cuda | None,
    on_step: Callable[[str], None],
) -> tuple[Wheel, ...]:
    fetched = fetch_wheels(recipe.source, recipe.target, tools, cache, [cuda.lock] if cuda else [])
    native = NativeWheel(recipe.source, recipe.target, tools, cache, cuda=cuda, libraries=fetched)
    if not native.is_here:
        how_long = "five minutes on two cores" if cuda is None else "a minute for each of its 200 GPU files and core"
        on_step(f"compiling llama-cpp-python for any machine, once; about {how_long}")
    compiled = native.wheel()
    own = build_own_wheel(recipe.source, tools, scratch / "own")
    wheels = tuple(sorted([*fetched, compiled, own], key=lambda wheel: wheel.name))
    check_closure(wheels, OWN_PACKAGE, recipe.target)
    return wheels


def _rendered(files: Mapping[str, bytes], folder: Path) -> list[Placed]:
    for path, content in files.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    return [Placed(path, folder / path, "0755" if path == STARTER_NAME else "0644") for path in files]


def _playbooks(folder: Path) -> list[Placed]:
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and _is_ours(path.relative_to(folder))]
    if not files:
        raise ConfigError(f"{folder}: holds no playbook")
    return [
        Placed(
            f"playbooks/{path.relative_to(folder).as_posix()}", path, "0755" if path.stat().st_mode & 0o100 else "0644"
        )
        for path in files
    ]


def _is_ours(path: Path) -> bool:
    return path.suffix != ".pyc" and not any(part.startswith(".") or part == "__pycache__" for part in path.parts)


def _manifest(recipe: Recipe, version: str, cuda: Cuda | None, placed: Sequence[Placed]) -> Manifest:
    target = recipe.target
    try:
        return Manifest(
            version=version,
            serial=recipe.serial,
            min_from_version=recipe.min_from_version,
            profiles=tuple(sorted(profile.name for profile in recipe.profiles)),
            compatible=Compatible(
                os=target.os,
                os_version=target.os_version,
                arch=target.arch,
                python=target.python,
                cpu_flags=CPU_FLAGS,
                gpu=_gpu_needs(recipe, cuda),
            ),
            files=listed(list(placed)),
        )
    except ValidationError as error:
        raise ConfigError(f"the bundle cannot be described: {problems_in(error)}") from error


def _gpu_needs(recipe: Recipe, cuda: Cuda | None) -> GpuNeeds | None:
    if cuda is None:
        return None
    memory = [profile.hardware.gpu_memory_gb for profile in recipe.profiles if profile.hardware.gpu_memory_gb]
    return GpuNeeds(driver=cuda.least_driver, cuda=cuda.release, memory_gb=max(memory, default=1.0))
