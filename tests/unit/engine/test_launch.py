import msgspec
import pytest

from voicectl.core.config import load_profile
from voicectl.core.profile import Profile
from voicectl.core.sections.hardware import Worker
from voicectl.engine.launch import WorkerSetup, read_setup, setup_line, with_stages, worker_environment


def test_setup_survives_its_line() -> None:
    profile = load_profile("cpu", environment={})
    worker = profile.workers[0]
    setup = WorkerSetup(
        profile=profile.model_dump(mode="json"),
        worker=worker.model_dump(mode="json"),
        model_roots={"stt": "/models/a\nb"},
        address="ipc:///run/x.sock",
        gateway_pid=1,
        log_level="info",
    )
    line = setup_line(setup)
    assert line.endswith(b"\n") and line.count(b"\n") == 1
    read = read_setup(line)
    assert read == setup
    assert Profile.model_validate(read.profile) == profile
    assert Worker.model_validate(read.worker) == worker


def test_unknown_setup_keys_are_refused() -> None:
    with pytest.raises(msgspec.ValidationError):
        read_setup(b'{"profile": {}, "surprise": 1}')


def test_environment_sets_threads_and_keeps_the_rest() -> None:
    profile = load_profile("cpu", overrides=["stt.threads=3", "llm.threads=5"], environment={})
    worker = Worker(name="both", stages=("stt", "llm"))
    environment = worker_environment(profile, worker, {"PATH": "/bin", "OMP_NUM_THREADS": "64"})
    assert environment["PATH"] == "/bin"
    assert environment["OMP_NUM_THREADS"] == "5"
    assert environment["HF_HUB_OFFLINE"] == "1"


def test_worker_keeps_only_wanted_stages() -> None:
    worker = Worker(name="both", stages=("stt", "llm"))
    kept = with_stages(worker, ("llm", "tts"))
    assert kept is not None and kept.stages == ("llm",)
    assert with_stages(worker, ("tts",)) is None
