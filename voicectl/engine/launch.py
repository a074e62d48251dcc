"""What a worker process is started with: its setup and its environment. Starts nothing."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from voicectl.core.profile import Profile
from voicectl.core.sections.hardware import Stage, Worker

MAX_SETUP_BYTES: Final = 1_000_000
GO_LINE: Final = b"go\n"
"""What a held worker waits for."""


class WorkerSetup(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The first line of a worker's stdin, as JSON; nothing secret or long stands on its command line.

    `model_roots` are the verified folders by stage; `gateway_pid` is the process it must not outlive. A
    held worker gets itself ready to load, then waits for `GO_LINE`.
    """

    profile: dict[str, Any]
    worker: dict[str, Any]
    model_roots: dict[str, str]
    address: str
    gateway_pid: int
    log_level: str
    held: bool = False


def setup_line(setup: WorkerSetup) -> bytes:
    """Return the setup as one line."""
    return msgspec.json.encode(setup) + b"\n"


def read_setup(line: bytes) -> WorkerSetup:
    """Return the setup in a line. Raises msgspec.DecodeError, of which ValidationError is one."""
    return msgspec.json.decode(line, type=WorkerSetup)


def worker_environment(profile: Profile, worker: Worker, environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a worker: the gateway's, with the thread counts of native libraries."""
    threads = {"stt": profile.stt.threads, "llm": profile.llm.threads, "tts": profile.tts.threads, "turn": 1}
    return {
        **environment,
        "OMP_NUM_THREADS": str(max(threads[stage] for stage in worker.stages)),
        # numpy serves mel spectrograms and sampling here: small products, for which threads cost time.
        "OPENBLAS_NUM_THREADS": "1",
        "TOKENIZERS_PARALLELISM": "false",
        # Models are files that were verified before: nothing may look for them on a network.
        "HF_HUB_OFFLINE": "1",
    }


def with_stages(worker: Worker, wanted: tuple[Stage, ...]) -> Worker | None:
    """Return the worker with only the wanted ones of its stages; None when none is left."""
    stages = tuple(stage for stage in worker.stages if stage in wanted)
    models = {stage: name for stage, name in worker.models.items() if stage in stages}
    return worker.model_copy(update={"stages": stages, "models": models}) if stages else None
