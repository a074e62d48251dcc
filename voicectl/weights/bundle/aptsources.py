"""Choose, among the package sources of a build host, those of one Debian release. Text in, text out."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from voicectl.core.errors import ConfigError

_CODENAMES: Final = re.compile(r"\b(bullseye|bookworm|trixie|forky)\b")
_ONE_LINE: Final = re.compile(r"deb\s+(?:\[[^\]]*\]\s+)?\S+\s+(?P<suite>\S+)\s+\S")


def release_sources(files: Mapping[str, str], codename: str) -> dict[str, str]:
    """Return the sources of the release `codename` and its updates, by file name ending `.list` or `.sources`.

    `files` are apt's own, by name. Where they are for another release, the same archives are asked for this one.
    Raises ConfigError when none is for a Debian release.
    """
    chosen: dict[str, str] = {}
    for name, text in sorted(files.items()):
        entries = _stanzas(text) if name.endswith(".sources") else _lines(text)
        wanted = list(dict.fromkeys(_CODENAMES.sub(codename, entry) for entry in entries))
        if wanted:
            chosen[name] = "\n".join(wanted) + "\n"
    if not chosen:
        raise ConfigError(
            "no package source of a Debian release is configured",
            hint="name a sources.list with --apt-sources, for example one with `deb URI bookworm main`",
        )
    return chosen


def host_sources(etc: Path = Path("/etc/apt")) -> dict[str, str]:
    """Return the files that tell this host's apt where packages come from, by name."""
    paths = [etc / "sources.list", *sorted(etc.glob("sources.list.d/*.list"))]
    paths += sorted(etc.glob("sources.list.d/*.sources"))
    return {path.name: path.read_text(encoding="utf-8") for path in paths if path.is_file()}


def _lines(text: str) -> Iterator[str]:
    for line in map(str.strip, text.splitlines()):
        match = _ONE_LINE.match(line)
        if match and _is_release(match["suite"]):
            yield line


def _stanzas(text: str) -> Iterator[str]:
    for stanza in re.split(r"\n\s*\n", text):
        lines = [line for line in stanza.splitlines() if line.strip() and not line.startswith("#")]
        fields = {key.strip().lower(): value.split() for key, _, value in (line.partition(":") for line in lines)}
        suites = fields.get("suites", [])
        if "deb" in fields.get("types", []) and suites and all(map(_is_release, suites)):
            yield "\n".join(lines) + "\n"


def _is_release(suite: str) -> bool:
    base, _, rest = suite.partition("-")
    return bool(_CODENAMES.fullmatch(base)) and rest in {"", "updates", "security"}


def read_sources(path: Path) -> dict[str, str]:
    """Return one file of package sources, by name. Raises ConfigError when it cannot be read."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from error
    return {path.name if path.suffix in {".list", ".sources"} else f"{path.name}.list": text}
