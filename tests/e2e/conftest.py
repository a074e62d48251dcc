"""A running appliance for the end-to-end tests: the real models of profile cpu behind `voicectl serve`."""

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest


@dataclass(frozen=True, slots=True)
class Appliance:
    """A gateway in a process of its own."""

    url: str
    pid: int

    def get(self, path: str) -> Any:
        """Return a JSON document of the gateway."""
        with urllib.request.urlopen(f"{self.url}{path}", timeout=10) as answer:
            return json.load(answer)


def start_appliance(*options: str) -> tuple[subprocess.Popen[str], Appliance]:
    """Start a gateway on a free port and wait until it takes calls."""
    command = [sys.executable, "-m", "voicectl", "serve", "--json", "--host", "127.0.0.1", "--port", "0", *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ)
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line, f"the gateway ended with status {process.wait(30)}"
    return process, Appliance(json.loads(line)["url"], process.pid)


@pytest.fixture(scope="session")
def appliance() -> Iterator[Appliance]:
    process, running = start_appliance()
    try:
        yield running
    finally:
        process.terminate()
        assert process.wait(30) == 0
        assert process.stdout is not None
        process.stdout.close()


@pytest.fixture(scope="session")
def spoken(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return a function that has the appliance's own voice read a text into a WAV file, once a text."""
    folder = tmp_path_factory.mktemp("spoken")
    made: dict[str, Path] = {}

    def speak(text: str) -> Path:
        if text not in made:
            path = folder / f"{len(made)}.wav"
            subprocess.run([sys.executable, "-m", "voicectl", "say", text, "--out", str(path)], check=True, timeout=60)
            made[text] = path
        return made[text]

    return speak
