"""Load llama.cpp's bindings once, with the environment that its threads need."""

import os

# GNU OpenMP reads this when it is loaded. Threads that spin without bound at the hundreds of barriers of
# a token are ten times slower on cores shared with the other stages; threads that sleep at once lose a
# third on idle ones. This many turns cost little and win most (SmolLM2-135M Q4_0, two cores, November
# 2026): 9.3 ms a token idle and 28 ms beside a busy process, against 12.8 and 19 ms without spinning,
# 8.7 and 128 ms with twenty times as many.
os.environ.setdefault("GOMP_SPINCOUNT", "1000")

from llama_cpp import llama_cpp as native
from llama_cpp.llama_chat_format import Jinja2ChatFormatter
from llama_cpp.llama_grammar import SchemaConverter

__all__ = ["Jinja2ChatFormatter", "SchemaConverter", "native"]
