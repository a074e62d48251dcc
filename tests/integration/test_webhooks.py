"""Webhooks over real sockets and files: delivered, refused, retried, and not lost with the process."""

import asyncio
import shutil
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.fakes.conversation import eventually
from tests.fakes.webhook_receiver import OK, SECRET_TEXT, receiving, status
from voicectl.core.errors import ConfigError
from voicectl.core.sections.webhooks import EventType, WebhookEndpoint, Webhooks
from voicectl.service.webhooks.dispatcher import WebhookDispatcher
from voicectl.service.webhooks.event import WebhookEvent, rfc3339
from voicectl.service.webhooks.open import webhook_dispatcher
from voicectl.service.webhooks.outbox import Letter, Outbox, Settlement
from voicectl.service.webhooks.sender import Delivered, Failed, Sender

pytestmark = pytest.mark.integration

FAST: dict[str, Any] = {"backoff_s": 0.02, "max_backoff_s": 0.1, "max_open_s": 0.1, "flush_s": 0.5}


def endpoint(folder: Path, url: str, name: str = "crm", **keys: Any) -> WebhookEndpoint:
    secret_file = folder / f"{name}.whsec"
    secret_file.write_text(SECRET_TEXT)
    secret_file.chmod(0o600)
    return WebhookEndpoint(name=name, url=url, secret_file=str(secret_file), **{"allow_private": True, **keys})


def settings(folder: Path, *endpoints: WebhookEndpoint, **keys: Any) -> Webhooks:
    return Webhooks(endpoints=endpoints, outbox=str(folder / "box" / "outbox.db"), **{**FAST, **keys})


@asynccontextmanager
async def dispatching(folder: Path, *endpoints: WebhookEndpoint, **keys: Any) -> AsyncIterator[WebhookDispatcher]:
    dispatcher = webhook_dispatcher(settings(folder, *endpoints, **keys))
    assert dispatcher is not None
    async with dispatcher:
        yield dispatcher


def event(kind: EventType = "session.started", **facts: Any) -> WebhookEvent:
    return WebhookEvent(kind, time.time(), facts)


def waiting(dispatcher: WebhookDispatcher, index: int = 0) -> int:
    return dispatcher.health().endpoints[index].num_waiting


# --- delivery -----------------------------------------------------------------------------------


async def test_events_arrive_signed_and_once(tmp_path: Path) -> None:
    async with receiving() as receiver, dispatching(tmp_path, endpoint(tmp_path, receiver.url)) as dispatcher:
        sent = [event(session_id=f"sess_{number}") for number in range(20)]
        for each in sent:
            dispatcher.offer(each)
        await eventually(lambda: dispatcher.health().endpoints[0].num_delivered == 20)
        assert sorted(attempt.event_id for attempt in receiver.attempts) == sorted(each.event_id for each in sent)
        assert all(attempt.verified() for attempt in receiver.attempts)
        first = receiver.attempts[0]
        assert first.path == "/hook?token=abc"
        assert first.headers["host"] == f"localhost:{receiver.port}"
        assert first.headers["content-type"] == "application/json"
        assert first.told["timestamp"] in {rfc3339(each.at) for each in sent}
        assert receiver.num_connections <= 4
        health = dispatcher.health()
        assert (health.state, health.num_stored, health.num_queued, health.num_dropped) == ("ok", 20, 0, 0)


async def test_a_receiver_gets_only_what_it_asked_for(tmp_path: Path) -> None:
    async with receiving() as all_of_it, receiving() as ends:
        some = endpoint(tmp_path, ends.url, "ends", events=("session.ended",), include_transcripts=True)
        async with dispatching(tmp_path, endpoint(tmp_path, all_of_it.url), some) as dispatcher:
            dispatcher.offer(event("session.started"))
            dispatcher.offer(WebhookEvent("session.ended", time.time(), {"num_turns": 1}, {"caller_text": "bye"}))
            await eventually(lambda: len(all_of_it.attempts) == 2 and len(ends.attempts) == 1)
        assert ends.attempts[0].told["data"] == {"num_turns": 1, "caller_text": "bye"}
        assert {"session.started", "session.ended"} == set(all_of_it.kinds)
        assert all("caller_text" not in attempt.told["data"] for attempt in all_of_it.attempts)


async def test_errors_are_tried_again_under_the_same_id(tmp_path: Path) -> None:
    async with receiving() as receiver:
        receiver.answers.extend([status(500), status(429), status(404)])
        async with dispatching(tmp_path, endpoint(tmp_path, receiver.url)) as dispatcher:
            dispatcher.offer(event())
            await eventually(lambda: dispatcher.health().endpoints[0].num_delivered == 1)
            health = dispatcher.health().endpoints[0]
    assert len(receiver.attempts) == 4
    assert len({attempt.event_id for attempt in receiver.attempts}) == 1
    assert (health.num_failed_attempts, health.num_dead, health.last_error) == (3, 0, None)


async def test_an_event_is_given_up_after_its_last_attempt(tmp_path: Path) -> None:
    async with receiving() as receiver:
        receiver.answer = status(500)
        with capture_logs() as logs:
            async with dispatching(tmp_path, endpoint(tmp_path, receiver.url), max_attempts=3) as dispatcher:
                dispatcher.offer(event())
                await eventually(lambda: dispatcher.health().endpoints[0].num_dead == 1)
                assert waiting(dispatcher) == 0
    assert len(receiver.attempts) == 3
    assert "webhook_given_up" in [entry["event"] for entry in logs]


async def test_gone_disables_a_receiver_until_the_next_start(tmp_path: Path) -> None:
    async with receiving() as receiver:
        receiver.answer = status(410)
        crm = endpoint(tmp_path, receiver.url)
        async with dispatching(tmp_path, crm, parallel=1) as dispatcher:
            dispatcher.offer(event())
            dispatcher.offer(event())
            await eventually(lambda: dispatcher.health().endpoints[0].state == "disabled")
            dispatcher.offer(event())
            await eventually(lambda: dispatcher.health().num_queued == 0)
            await eventually(lambda: dispatcher.health().endpoints[0].num_dead == 2)
        assert len(receiver.attempts) == 1
        receiver.answer = OK
        async with dispatching(tmp_path, crm) as dispatcher:
            dispatcher.offer(event())
            await eventually(lambda: dispatcher.health().endpoints[0].num_delivered == 1)


async def test_a_receiver_that_hangs_holds_up_no_other(tmp_path: Path) -> None:
    async with receiving() as hanging, receiving() as quick:
        hanging.answer = None
        two = endpoint(tmp_path, hanging.url, "hanging"), endpoint(tmp_path, quick.url, "quick")
        async with dispatching(tmp_path, *two, read_s=5, total_s=0.2, parallel=2) as dispatcher:
            for _ in range(10):
                dispatcher.offer(event())
            await eventually(lambda: len(quick.attempts) == 10)
            assert dispatcher.health().endpoints[0].num_delivered == 0
            await eventually(lambda: dispatcher.health().endpoints[0].state == "failing")
            assert dispatcher.health().endpoints[0].last_error == "timed out"
            assert dispatcher.health().endpoints[1].state == "ok"
            hanging.answer = OK
            hanging.hang_up()
            await eventually(lambda: dispatcher.health().endpoints[0].num_delivered == 10, within_s=10)


async def test_an_answer_that_never_ends_is_cut_off(tmp_path: Path) -> None:
    async with receiving() as receiver:
        receiver.answer = b"HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n" + b"x" * 100_000
        async with dispatching(tmp_path, endpoint(tmp_path, receiver.url)) as dispatcher:
            dispatcher.offer(event())
            await eventually(lambda: dispatcher.health().endpoints[0].num_delivered == 1)


async def test_what_is_no_http_is_a_failure_and_not_a_crash(tmp_path: Path) -> None:
    async with receiving() as receiver:
        receiver.answers.extend([b"SSH-2.0-OpenSSH\r\n\r\n", b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n"])
        async with dispatching(tmp_path, endpoint(tmp_path, receiver.url)) as dispatcher:
            dispatcher.offer(event())
            await eventually(lambda: len(receiver.attempts) == 2)
            receiver.hang_up()
            await eventually(lambda: dispatcher.health().endpoints[0].num_delivered == 1)
            assert dispatcher.health().endpoints[0].num_failed_attempts == 2


# --- where events may not go --------------------------------------------------------------------


async def test_a_private_address_is_never_connected_to_without_leave(tmp_path: Path) -> None:
    async with receiving() as receiver:
        strict = endpoint(tmp_path, receiver.url, allow_private=False)
        async with dispatching(tmp_path, strict, max_attempts=2) as dispatcher:
            dispatcher.offer(event())
            await eventually(lambda: dispatcher.health().endpoints[0].num_dead == 1)
            error = dispatcher.health().endpoints[0].last_error
        assert error is not None
        assert error.startswith("refused to connect: ")
        assert error.endswith("is loopback")
        assert receiver.num_connections == 0


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
async def test_redirects_are_refused_wherever_they_lead(tmp_path: Path, code: int) -> None:
    async with receiving() as inside, receiving() as receiver:
        receiver.answer = status(code, f"location: http://127.0.0.1:{inside.port}/")
        async with dispatching(tmp_path, endpoint(tmp_path, receiver.url), max_attempts=3) as dispatcher:
            dispatcher.offer(event())
            await eventually(lambda: dispatcher.health().endpoints[0].num_dead == 1)
            assert dispatcher.health().endpoints[0].last_error == f"HTTP {code}: redirects are not followed"
        assert len(receiver.attempts) == 3
        assert inside.num_connections == 0


async def sent(folder: Path, url: str, addresses: Sequence[Sequence[str]], **keys: Any) -> list[Any]:
    """Send once for each answer of a name service, in that order."""
    answers = iter(addresses)
    crm = endpoint(folder, url, **keys)
    sender = Sender(crm, settings(folder, crm), resolver=lambda _host, _port: next(answers))
    try:
        return [await sender.send("evt_1", b"{}") for _ in addresses]
    finally:
        await sender.close()


async def test_the_address_that_was_checked_is_the_one_that_is_connected_to(tmp_path: Path) -> None:
    async with receiving() as receiver:
        url = f"http://hooks.example:{receiver.port}/"
        outcomes = await sent(tmp_path, url, [["127.0.0.1"]])
        assert outcomes == [Delivered()]
        assert receiver.attempts[0].headers["host"] == f"hooks.example:{receiver.port}"


async def test_a_name_that_changes_its_address_is_checked_every_time(tmp_path: Path) -> None:
    async with receiving() as receiver:
        url = f"http://hooks.example:{receiver.port}/"
        answers = [["127.0.0.1"], ["127.0.0.1", "169.254.169.254"], ["::ffff:169.254.169.254"], []]
        first, *others = await sent(tmp_path, url, answers)
        assert first == Delivered()
        assert [type(other) for other in others] == [Failed] * 3
        assert others[0].reason == "refused to connect: 169.254.169.254 is link-local"
        assert len(receiver.attempts) == 1


async def test_the_next_address_is_tried_when_one_takes_no_connection(tmp_path: Path) -> None:
    async with receiving() as receiver:
        url = f"http://hooks.example:{receiver.port}/"
        assert await sent(tmp_path, url, [["::1", "127.0.0.2", "127.0.0.1"]]) == [Delivered()]


async def test_a_name_that_does_not_resolve_is_a_failure(tmp_path: Path) -> None:
    crm = endpoint(tmp_path, "http://no.such.host.invalid/")
    sender = Sender(crm, settings(tmp_path, crm))
    outcome = await sender.send("evt_1", b"{}")
    await sender.close()
    assert isinstance(outcome, Failed)


async def test_proxies_of_the_environment_are_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with receiving() as proxy, receiving() as receiver:
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{proxy.port}")
        monkeypatch.setenv("ALL_PROXY", f"http://127.0.0.1:{proxy.port}")
        assert await sent(tmp_path, receiver.url, [["127.0.0.1"]]) == [Delivered()]
        assert proxy.num_connections == 0


# --- TLS ----------------------------------------------------------------------------------------


def certificate(folder: Path, name: str) -> tuple[Path, Path]:
    """Return the certificate of a name and its key, made by openssl."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl on this host")
    crt, key = folder / f"{name}.crt", folder / f"{name}.key"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    command += ["-days", "1", "-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}"]
    subprocess.run([*command, "-keyout", key, "-out", crt], check=True, capture_output=True, timeout=30)
    return crt, key


async def test_a_certificate_must_be_for_the_name_and_not_for_the_address(tmp_path: Path) -> None:
    crt, key = certificate(tmp_path, "hooks.example")
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(crt, key)
    async with receiving(tls) as receiver:
        right = f"https://hooks.example:{receiver.port}/"
        wrong = f"https://other.example:{receiver.port}/"
        assert await sent(tmp_path, right, [["127.0.0.1"]], ca_file=str(crt)) == [Delivered()]
        (outcome,) = await sent(tmp_path, wrong, [["127.0.0.1"]], ca_file=str(crt))
        assert isinstance(outcome, Failed)
        assert "other.example" in outcome.reason
        (outcome,) = await sent(tmp_path, right, [["127.0.0.1"]])
        assert isinstance(outcome, Failed)
        assert "CERTIFICATE_VERIFY_FAILED" in outcome.reason


def test_authorities_and_secrets_that_cannot_be_read_are_configuration_errors(tmp_path: Path) -> None:
    crm = endpoint(tmp_path, "https://hooks.example/", ca_file=str(tmp_path / "none.pem"))
    with pytest.raises(ConfigError, match=r"none\.pem"):
        webhook_dispatcher(settings(tmp_path, crm))
    Path(crm.secret_file).unlink()
    with pytest.raises(ConfigError, match=r"crm\.whsec"):
        webhook_dispatcher(settings(tmp_path, crm))


def test_without_receivers_there_is_no_dispatcher() -> None:
    assert webhook_dispatcher(Webhooks()) is None


# --- the outbox ---------------------------------------------------------------------------------

KILLED = """
import asyncio, sys
from pathlib import Path
from tests.integration.test_webhooks import dispatching, endpoint, event
from tests.fakes.conversation import eventually

async def main(folder, url):
    async with dispatching(folder, endpoint(folder, url)) as dispatcher:
        sent = [event(session_id=str(number)) for number in range(5)]
        for each in sent:
            dispatcher.offer(each)
        await eventually(lambda: dispatcher.health().num_stored == 5)
        print(*[each.event_id for each in sent], flush=True)
        await asyncio.Event().wait()

asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
"""


async def test_events_of_a_killed_gateway_are_delivered_by_the_next_under_the_same_ids(tmp_path: Path) -> None:
    async with receiving() as receiver:
        receiver.answer = None
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-c", KILLED, tmp_path, receiver.url, stdout=asyncio.subprocess.PIPE
        )
        assert child.stdout is not None
        line = await asyncio.wait_for(child.stdout.readline(), 30)
        child.send_signal(signal.SIGKILL)
        await child.wait()
        before = {attempt.event_id for attempt in receiver.attempts}
        ids = set(line.decode().split())
        assert len(ids) == 5
        assert before <= ids
        receiver.answer = OK
        receiver.attempts.clear()
        async with dispatching(tmp_path, endpoint(tmp_path, receiver.url)) as dispatcher:
            await eventually(lambda: dispatcher.health().endpoints[0].num_delivered == 5)
        assert sorted(attempt.event_id for attempt in receiver.attempts) == sorted(ids)
        assert all(attempt.verified() for attempt in receiver.attempts)


async def test_events_that_could_not_be_sent_wait_for_the_next_start(tmp_path: Path) -> None:
    async with receiving() as receiver:
        receiver.answer = status(503)
        crm = endpoint(tmp_path, receiver.url)
        async with dispatching(tmp_path, crm) as dispatcher:
            dispatcher.offer(event("session.ended"))
        receiver.answer = OK
        receiver.attempts.clear()
        async with dispatching(tmp_path, crm):
            await eventually(lambda: receiver.kinds == ["session.ended"])


async def test_events_offered_just_before_the_end_are_sent(tmp_path: Path) -> None:
    async with receiving() as receiver:
        async with dispatching(tmp_path, endpoint(tmp_path, receiver.url)) as dispatcher:
            dispatcher.offer(event("session.ended"))
        assert receiver.kinds == ["session.ended"]


async def test_a_full_outbox_drops_the_oldest_and_says_so_once(tmp_path: Path) -> None:
    async with receiving() as receiver:
        receiver.answer = None
        with capture_logs() as logs:
            async with dispatching(tmp_path, endpoint(tmp_path, receiver.url), max_outbox=5, flush_s=0) as dispatcher:
                for _ in range(3):
                    for _ in range(5):
                        dispatcher.offer(event())
                    await eventually(lambda: dispatcher.health().num_queued == 0)
                assert dispatcher.health().endpoints[0].num_dead == 10
        assert [entry["event"] for entry in logs].count("webhook_outbox_full") == 1


async def test_deliveries_for_a_receiver_that_is_no_more_are_dropped(tmp_path: Path) -> None:
    async with receiving() as receiver:
        receiver.answer = status(503)
        async with dispatching(tmp_path, endpoint(tmp_path, receiver.url, "old")) as dispatcher:
            dispatcher.offer(event())
        receiver.answer = OK
        receiver.attempts.clear()
        with capture_logs() as logs:
            async with dispatching(tmp_path, endpoint(tmp_path, receiver.url, "new")) as dispatcher:
                dispatcher.offer(event("session.ended"))
                await eventually(lambda: dispatcher.health().endpoints[0].num_delivered == 1)
        assert receiver.kinds == ["session.ended"]
        assert logs[0]["event"] == "webhook_deliveries_dropped"


async def test_an_outbox_that_cannot_be_written_is_reported_and_calls_go_on(tmp_path: Path) -> None:
    (tmp_path / "box").write_text("a file where the folder should be")
    async with receiving() as receiver:
        with capture_logs() as logs:
            async with dispatching(tmp_path, endpoint(tmp_path, receiver.url), queue_depth=3) as dispatcher:
                await eventually(lambda: dispatcher.health().state == "failing")
                for number in range(5):
                    dispatcher.offer(event(session_id=str(number)))
                health = dispatcher.health()
                assert (health.num_queued, health.num_dropped) == (3, 2)
                (tmp_path / "box").unlink()
                await eventually(lambda: dispatcher.health().endpoints[0].num_delivered == 3)
                assert dispatcher.health().state == "ok"
        told = sorted(attempt.told["data"]["session_id"] for attempt in receiver.attempts)
        assert told == ["2", "3", "4"]
        assert [entry["event"] for entry in logs] == ["webhook_outbox_failing", "webhook_outbox_recovered"]


async def test_a_second_gateway_waits_for_the_outbox_of_the_first(tmp_path: Path) -> None:
    async with receiving() as receiver:
        crm = endpoint(tmp_path, receiver.url)
        async with dispatching(tmp_path, crm) as first:
            await eventually(lambda: Path(tmp_path / "box" / "outbox.db").exists())
            first.offer(event())
            await eventually(lambda: len(receiver.attempts) == 1)
            child = await asyncio.create_subprocess_exec(
                sys.executable, "-c", KILLED, tmp_path, receiver.url, stdout=asyncio.subprocess.PIPE
            )
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(child.communicate(), 2)
            assert len(receiver.attempts) == 1
        await eventually(lambda: len(receiver.attempts) == 6, within_s=15)
        child.kill()
        await child.wait()


async def test_an_event_that_has_no_json_does_not_hold_up_the_others(tmp_path: Path) -> None:
    async with receiving() as receiver, dispatching(tmp_path, endpoint(tmp_path, receiver.url)) as dispatcher:
        with capture_logs() as logs:
            dispatcher.offer(event(session_id="\ud800"))
            dispatcher.offer(event("session.ended"))
            await eventually(lambda: receiver.kinds == ["session.ended"])
        assert dispatcher.health().num_dropped == 1
        assert logs[0]["event"] == "webhook_event_unwritable"


async def test_planned_attempts_survive_a_clock_that_is_set_back(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "outbox.db", max_deliveries=10, timeout_s=5)
    await outbox.add([Letter("evt_1", "crm", b"{}", 10_000.0)])
    (delivery,) = (await outbox.due("crm", now=10_000, latest=13_600, limit=5)).deliveries
    await outbox.settle(Settlement([], [(delivery.seq, 10_060.0)]))
    assert (await outbox.due("crm", now=10_001, latest=13_601, limit=5)).deliveries == ()
    due = await outbox.due("crm", now=1_000, latest=4_600, limit=5)
    assert [(each.event_id, each.attempts) for each in due.deliveries] == [("evt_1", 1)]
    await outbox.close()
