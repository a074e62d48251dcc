"""`python -m voicectl`: the same program as the console script."""

from voicectl.cli.main import run

run()
