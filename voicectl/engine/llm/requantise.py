"""Turn a verified model into one of another quantisation, for this process only."""

import ctypes
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import structlog

from voicectl.core.errors import EngineError
from voicectl.engine.llm.native import native

_FILE_TYPES: Final = {"q4_0": native.LLAMA_FTYPE_MOSTLY_Q4_0}

log = structlog.get_logger(__name__)


@contextmanager
def requantised(path: Path, kind: str, threads: int) -> Iterator[Path]:
    """Yield a model file of quantisation `kind` made from `path`; it is gone after the block.

    llama.cpp keeps the file mapped, so a model that was loaded inside the block stays usable. The file
    is made anew at every start from bytes whose digest was checked, so nothing unpinned is ever kept.
    Raises EngineError when llama.cpp cannot convert the model or the disk is full.
    """
    with tempfile.TemporaryDirectory(prefix="voicectl-llm-") as folder:
        target = Path(folder) / f"{path.stem}.{kind}.gguf"
        params = native.llama_model_quantize_default_params()
        params.ftype = _FILE_TYPES[kind]
        params.allow_requantize = True
        params.nthread = threads
        begun = time.monotonic()
        code = native.llama_model_quantize(os.fsencode(path), os.fsencode(target), ctypes.byref(params))
        if code != 0:
            raise EngineError(
                f"{path}: llama.cpp cannot convert this model to {kind} (code {code})",
                hint=f"it needs {path.stat().st_size} bytes in {folder}; set llm.requantise to null to go without",
            )
        log.info(
            "model_requantised", kind=kind, bytes=target.stat().st_size, seconds=round(time.monotonic() - begun, 3)
        )
        yield target
