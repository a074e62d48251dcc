"""A virtual environment for each stock client, made once and kept beside the other caches."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def client_python(name: str) -> Path:
    """Return the interpreter of a client's environment, which is made when its pins are new."""
    pins = HERE / "requirements" / f"{name}.txt"
    digest = hashlib.sha256(pins.read_bytes() + sys.version.encode()).hexdigest()[:12]
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = caches / "voicectl" / "clients" / f"{name}-{digest}"
    python = folder / "bin" / "python"
    done = folder / "complete"
    if not done.is_file():
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
        install = [str(python), "-m", "pip", "install", "--quiet", "--no-deps", "--requirement", str(pins)]
        subprocess.run(install, check=True, timeout=900)
        done.touch()
    return python
