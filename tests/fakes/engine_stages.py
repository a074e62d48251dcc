"""Stages without models, and the program of a worker that hosts them. Run as a script.

What a stage does is told by the request: a `Generate`'s session id, a `Transcribe`'s hotwords. How
its load goes is told by the name of its model folder.
"""

import os
import signal
import sys
import threading
import time

import zmq

from voicectl.core.errors import ArtifactMissing
from voicectl.engine import worker
from voicectl.engine.launch import read_setup
from voicectl.engine.messages import (
    Failed,
    Forget,
    Forgotten,
    Generate,
    GenerationEnded,
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


class FakeStage:
    """Answers at once, or misbehaves in the way that the request asks for."""

    def __init__(self) -> None:
        self._jobs: dict[int, Job] = {}
        self.cancelled: list[int] = []

    def submit(self, job: Job) -> None:
        match job.body:
            case Transcribe(pcm=pcm, hotwords=hotwords):
                self._transcribe(job, pcm, hotwords)
            case ScoreTurn():
                job.emit(Scored(0.75))
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
    return FakeStage()


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
