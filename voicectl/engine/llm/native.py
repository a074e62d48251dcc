"""Load llama.cpp's bindings once, with the environment that its threads need."""

import os

# OpenMP reads this when it is loaded. Its threads otherwise spin at the hundreds of barriers of a
# token, which on cores shared with the other stages made two threads 2 to 10 times slower than
# sleeping ones (SmolLM2-135M, two cores with load 6, November 2026).
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

from llama_cpp import llama_cpp as native

__all__ = ["native"]
