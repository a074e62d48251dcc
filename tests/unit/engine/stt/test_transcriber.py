from dataclasses import dataclass, field

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from voicectl.core.audio import float_to_pcm16
from voicectl.core.errors import ConfigError, RequestRejected
from voicectl.core.ports import Priority
from voicectl.core.sections.engine import SttSettings
from voicectl.engine.messages import Body, ScoreTurn, Transcribe, Transcribed
from voicectl.engine.stage import Job
from voicectl.engine.stt.model import Pass
from voicectl.engine.stt.quality import Reading
from voicectl.engine.stt.stage import SttMeter, Transcriber, combine, window_ladder

RATE = 16_000
LOOP = "ten of clubs ten of clubs"


@dataclass
class ScriptedWhisper:
    """Answers with the given readings and remembers what it was asked."""

    readings: list[Reading]
    asked: list[Pass] = field(default_factory=list)

    def read(self, look: Pass) -> Reading:
        self.asked.append(look)
        return self.readings.pop(0)

    @property
    def windows(self) -> list[int]:
        return [look.window for look in self.asked]


def reading(text: str, avg_logprob: float = -0.2, resume_at_s: float | None = None) -> Reading:
    return Reading(text, avg_logprob, 0.1, len(text.split()), True, 1000, resume_at_s)


def job_of(body: Body, priority: Priority = Priority.FINAL) -> Job:
    return Job(request_id=1, priority=priority, deadline_at=float("inf"), body=body, emit=lambda _: None)


def pcm_of(seconds: float) -> bytes:
    return float_to_pcm16(np.zeros(int(seconds * RATE), dtype=np.float32))


def transcriber(settings: SttSettings | None = None, registry: CollectorRegistry | None = None) -> Transcriber:
    meter = SttMeter(registry or CollectorRegistry())
    return Transcriber(settings or SttSettings(), longest_shared_window=1500, meter=meter)


def ask(
    whisper: ScriptedWhisper,
    *,
    seconds: float = 2.0,
    priority: Priority = Priority.FINAL,
    body: Body | None = None,
    settings: SttSettings | None = None,
    registry: CollectorRegistry | None = None,
) -> Transcribed:
    job = job_of(body or Transcribe(pcm=pcm_of(seconds)), priority)
    plan = transcriber(settings, registry).transcribe(job)
    look = next(plan)
    while True:
        try:
            look = plan.send(whisper.read(look))
        except StopIteration as ended:
            assert isinstance(ended.value, Transcribed)
            return ended.value


def test_credible_speech_is_read_once_in_its_window() -> None:
    whisper = ScriptedWhisper([reading("go forward")])
    assert ask(whisper).text == "go forward"
    assert whisper.windows == [1000]


def test_a_loop_is_read_again_in_the_full_window() -> None:
    whisper = ScriptedWhisper([reading(LOOP), reading("ten of clubs")])
    assert ask(whisper).text == "ten of clubs"
    assert whisper.windows == [1000, 3000]


def test_what_may_not_be_looked_at_again_is_read_once() -> None:
    whisper = ScriptedWhisper([reading("thank you", -1.5)])
    assert not ask(whisper, body=Transcribe(pcm=pcm_of(2.0), second_look=False)).text
    assert whisper.windows == [1000]


def test_what_stays_doubtful_becomes_no_text() -> None:
    whisper = ScriptedWhisper([reading("thank you", -1.5), reading("you", -1.5)])
    answer = ask(whisper)
    assert (answer.text, answer.avg_logprob, answer.compression_ratio) == ("", -1.5, 0.0)


def test_a_partial_is_never_read_twice() -> None:
    whisper = ScriptedWhisper([reading("thank you", -1.5)])
    assert ask(whisper, priority=Priority.PARTIAL).text == ""
    assert whisper.windows == [1000]


def test_reading_goes_on_where_the_model_stopped_listening() -> None:
    whisper = ScriptedWhisper([reading("one two", resume_at_s=5.0), reading("three")])
    assert ask(whisper, seconds=8.0).text == "one two three"
    assert [len(look.samples) for look in whisper.asked] == [8 * RATE, 3 * RATE]


def test_a_short_rest_is_not_worth_a_full_window() -> None:
    whisper = ScriptedWhisper([reading("one two", resume_at_s=6.0), reading("you", -2.0)])
    assert ask(whisper, seconds=8.0).text == "one two"
    assert whisper.windows == [1000, 1000]


def test_long_audio_is_read_in_pieces() -> None:
    whisper = ScriptedWhisper([reading("one"), reading("two")])
    assert ask(whisper, seconds=40.0).text == "one two"
    assert sum(len(look.samples) for look in whisper.asked) == 40 * RATE


def test_a_requests_hotwords_replace_the_profiles() -> None:
    settings = SttSettings(hotwords="voicectl")
    first = ScriptedWhisper([reading("one")])
    ask(first, settings=settings)
    second = ScriptedWhisper([reading("one")])
    ask(second, settings=settings, body=Transcribe(pcm=bytes(3200), hotwords="Kubernetes"))
    assert [first.asked[0].hotwords, second.asked[0].hotwords] == ["voicectl", "Kubernetes"]


@pytest.mark.parametrize("body", [Transcribe(pcm=b""), Transcribe(pcm=b"abc"), ScoreTurn(pcm=b"ab")])
def test_a_body_without_whole_samples_or_of_another_stage_is_rejected(body: Body) -> None:
    with pytest.raises(RequestRejected):
        ask(ScriptedWhisper([]), body=body)


def test_the_ladder_rises_and_ends_at_thirty_seconds() -> None:
    assert window_ladder((1500, 1000, 1000)) == (1000, 1500, 3000)


@pytest.mark.parametrize("window", [0, 3001])
def test_a_window_whisper_cannot_read_is_refused(window: int) -> None:
    with pytest.raises(ConfigError, match=str(window)):
        window_ladder((1000, window))


def test_pieces_without_text_do_not_count_in_the_result() -> None:
    combined = combine([reading("one two three", -0.1), reading("", -3.0), reading("four", -0.5)])
    assert combined.text == "one two three four"
    assert combined.avg_logprob == pytest.approx(-0.2)


def test_second_looks_and_the_audio_that_was_heard_are_counted() -> None:
    registry = CollectorRegistry()
    ask(ScriptedWhisper([reading(LOOP), reading("ten of clubs")]), seconds=2.0, registry=registry)
    assert registry.get_sample_value("voicectl_stt_retries_total") == 1
    assert registry.get_sample_value("voicectl_stt_audio_seconds_total") == pytest.approx(2.0)


def test_requests_of_one_window_and_the_same_hotwords_may_be_read_together() -> None:
    group = transcriber(SttSettings(hotwords="voicectl")).group
    short, shorter = (job_of(Transcribe(pcm=pcm_of(seconds))) for seconds in (6.0, 2.0))
    assert group(short) == group(shorter) is not None
    assert group(short) != group(job_of(Transcribe(pcm=pcm_of(12.0))))
    assert group(short) != group(job_of(Transcribe(pcm=pcm_of(6.0), hotwords="Kubernetes")))


@pytest.mark.parametrize(
    "body", [Transcribe(pcm=b"abc"), ScoreTurn(pcm=b"ab"), Transcribe(pcm=pcm_of(16.0)), Transcribe(pcm=pcm_of(40.0))]
)
def test_what_is_broken_or_too_long_to_gain_from_company_is_read_alone(body: Body) -> None:
    assert transcriber().group(job_of(body)) is None
