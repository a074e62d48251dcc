"""Stages without models, and the program of a worker that hosts them. Run as a script.

What a stage does is told by the request: a `Generate`'s session id, a `Transcribe`'s hotwords. How
its load goes is told by the name of its model folder.
"""

import os
import signal
import sys
import threading
import time
from pathlib import Path

import zmq
from prometheus_client import Counter

from voicectl.core.errors import ArtifactMissing
from voicectl.engine import worker
from voicectl.engine.launch import read_setup
from voicectl.engine.messages import (
    Failed,
    Forget,
    Forgotten,
    Generate,
    GenerationEnded,
    Mark,
    Ready,
    Reply,
    Request,
    Scored,
    ScoreTurn,
    SpeechEnded,
    SpeechPiece,
    Synthesize,
    TextPiece,
    Transcribe,
    Transcribed,
    decode_to_worker,
    encode,
)
from voicectl.engine.stage import Job, StageRuntime, StageSetup

MAX_JOBS = 100
_COUNTERS: dict[int, Counter] = {}


class FakeStage:
    """Answers at once, or misbehaves in the way that the request asks for."""

    def __init__(self, jobs_seen: Counter) -> None:
        self._jobs: dict[int, Job] = {}
        self._jobs_seen = jobs_seen
        self._broken = False
        self.cancelled: list[int] = []

    def broken(self) -> str | None:
        return "a thread has ended" if self._broken else None

    def submit(self, job: Job) -> None:
        self._jobs_seen.inc()
        match job.body:
            case Transcribe(pcm=pcm, hotwords=hotwords):
                self._transcribe(job, pcm, hotwords)
            case ScoreTurn():
                job.emit(Scored(0.75))
            case Synthesize(text=text) if text.startswith("slowly"):
                threading.Thread(target=self._speak_slowly, args=(job, text), daemon=True).start()
            case Synthesize(text="silent"):
                self._jobs[job.request_id] = job
            case Synthesize(text=text):
                job.emit(SpeechPiece(b"\1\0" * len(text), 22050))
                job.emit(SpeechEnded())
            case Generate(session_id=session_id, max_tokens=max_tokens):
                self._generate(job, session_id, max_tokens)
            case Forget():
                job.emit(Forgotten())

    def cancel(self, request_id: int) -> None:
        self.cancelled.append(request_id)
        job = self._jobs.pop(request_id, None)
        if job is not None:
            job.emit(Failed("cancelled", "as asked"))

    def queued(self) -> int:
        return len(self._jobs)

    def close(self) -> None:
        for job in self._jobs.values():
            job.emit(Failed("cancelled", "closing"))

    def _transcribe(self, job: Job, pcm: bytes, hotwords: str | None) -> None:
        match hotwords:
            case "cancelled":
                text = ",".join(map(str, self.cancelled))
            case "environment":
                text = os.environ["OMP_NUM_THREADS"]
            case "slow":
                threading.Timer(0.3, job.emit, (Transcribed(f"by {os.getpid()}", -0.1, 0.0, 1.0, 1000),)).start()
                return
            case str() if hotwords.startswith("fails while "):
                # As long as a file exists, which only the test removes.
                if Path(hotwords.removeprefix("fails while ")).exists():
                    job.emit(Failed("internal", "as asked"))
                    return
                text = "works"
            case "unsendable":
                job.emit(Scored(object()))  # type: ignore[arg-type]
                return
            case _:
                text = str(len(pcm))
        job.emit(Transcribed(text, -0.1, 0.0, 1.0, 1000))

    def _generate(self, job: Job, session_id: str, max_tokens: int) -> None:
        match session_id:
            case "raise":
                raise ValueError("the stage is broken")
            case "die":
                os.kill(os.getpid(), signal.SIGKILL)
            case "hang":
                time.sleep(60)
            case "write":
                sys.stderr.write("a native library speaks\n" + "x" * 200_000 + "\n")
                job.emit(GenerationEnded("stop", 1, 0, 0))
            case "break":
                self._broken = True
                self._jobs[job.request_id] = job
            case "steady" | "pid":
                threading.Thread(target=self._generate_steadily, args=(job, max_tokens), daemon=True).start()
            case "silent" if len(self._jobs) >= MAX_JOBS:
                job.emit(Failed("rejected", f"{MAX_JOBS} requests wait already"))
            case "silent":
                self._jobs[job.request_id] = job
            case "endless":
                self._jobs[job.request_id] = job
                threading.Thread(target=self._endless, args=(job,), daemon=True).start()
            case _:
                for number in range(max_tokens):
                    job.emit(TextPiece(f"{number} "))
                job.emit(GenerationEnded("stop", 3, 1, max_tokens))

    def _generate_steadily(self, job: Job, max_tokens: int) -> None:
        steady = isinstance(job.body, Generate) and job.body.session_id == "steady"
        for number in range(max_tokens):
            job.emit(TextPiece(f"{number if steady else os.getpid()} "))
            time.sleep(0.02)
        job.emit(GenerationEnded("stop", 3, 1, max_tokens))

    def _speak_slowly(self, job: Job, text: str) -> None:
        """Say each word as 0.1 s of its own number, one piece a word."""
        position = 0
        for number, word in enumerate(text.split()):
            start = text.index(word, position)
            position = start + len(word)
            mark = Mark(start, position, number * 0.1, (number + 1) * 0.1)
            job.emit(SpeechPiece((1000 + number).to_bytes(2, "little") * 1600, 16_000, (mark,)))
            time.sleep(0.02)
        job.emit(SpeechEnded())

    def _endless(self, job: Job) -> None:
        while job.request_id in self._jobs:
            job.emit(TextPiece("more "))
            time.sleep(0.002)


def load(setup: StageSetup) -> StageRuntime:
    """Load the fake stage, unless its model folder's name says otherwise."""
    match setup.model_root.name:
        case "missing":
            raise ArtifactMissing("model.bin is not there", hint="pull it")
        case "broken":
            raise ValueError("bad magic number")
        case "dies":
            sys.stderr.write("cannot allocate what I need\n")
            sys.stderr.flush()
            os._exit(7)
        case "slow":
            time.sleep(60)
        case "dies-later":
            # The first start goes well, later ones do not until the file is gone.
            if (setup.model_root / "bad").exists():
                os._exit(7)
    jobs_seen = _COUNTERS.get(id(setup.metrics)) or Counter("voicectl_fake_jobs", "Jobs.", registry=setup.metrics)
    _COUNTERS[id(setup.metrics)] = jobs_seen
    return FakeStage(jobs_seen)


def babble() -> None:
    """Act as a worker that sends garbage between its replies."""
    setup = read_setup(sys.stdin.buffer.readline())
    socket = zmq.Context().socket(zmq.PAIR)
    socket.connect(setup.address)
    socket.send(encode(Ready(os.getpid(), ("llm",))))
    while True:
        message = decode_to_worker(socket.recv())
        if isinstance(message, Request):
            socket.send(b"")
            socket.send(b"\xc1 garbage")
            socket.send_multipart([b"two", b"parts"])
            socket.send(encode(message))
            socket.send(encode(Reply(message.request_id + 1000, Forgotten())))
            socket.send(encode(Reply(message.request_id, Forgotten())))


if __name__ == "__main__":
    if sys.argv[1:] == ["babble"]:
        babble()
    worker.main(dict.fromkeys(("stt", "turn", "llm", "tts"), load))
