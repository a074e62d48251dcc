"""Whoever asks for help, or for another command, does not wait for plots and statistics to load."""

import subprocess
import sys

import pytest

HEAVY = ("matplotlib", "scipy", "numpy", "jinja2", "websockets", "rich.live")


@pytest.mark.parametrize("arguments", [["bench", "--help"], ["bench", "run", "--help"]])
def test_help_loads_no_heavy_library(arguments: list[str]) -> None:
    program = (
        "import sys; from voicectl.cli.main import main; main(sys.argv[1:]);"
        f"sys.stdout.write(repr([name for name in {HEAVY!r} if name in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("[]")
