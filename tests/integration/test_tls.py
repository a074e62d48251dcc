"""TLS from certificate files that change while the gateway runs."""

import asyncio
import shutil
import ssl
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import ValidationError
from websockets.asyncio.client import connect

from tests.fakes.certificates import Pair, make_pair, openssl
from tests.fakes.conversation import running, scripted_profile
from voicectl.core.errors import ConfigError
from voicectl.core.sections.access import Tls
from voicectl.service.access.tls import TlsFiles

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(shutil.which("openssl") is None, reason="needs the openssl program to make certificates"),
]


def trusting(*pairs: Pair) -> ssl.SSLContext:
    context = ssl.create_default_context()
    for pair in pairs:
        context.load_verify_locations(pair.certificate)
    return context


def files_of(tls: Tls) -> TlsFiles:
    files = TlsFiles.of(tls, every_s=0.05)
    assert files is not None
    return files


async def common_name(url: str, context: ssl.SSLContext) -> str:
    """Return whose certificate is shown."""
    port = httpx.URL(url).port
    _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    shown: Any = writer.get_extra_info("peercert")
    writer.close()
    await writer.wait_closed()
    return str(dict(pair[0] for pair in shown["subject"])["commonName"])


async def test_rest_and_calls_go_over_tls(tmp_path: Path) -> None:
    pair = make_pair(tmp_path, "one")
    async with running(tls=files_of(pair.tls)) as gateway:
        assert gateway.url.startswith("https://")
        async with httpx.AsyncClient(verify=trusting(pair)) as http:
            assert (await http.get(f"{gateway.url}/healthz")).status_code == 200
        async with connect(gateway.realtime_url, ssl=trusting(pair)) as connection:
            assert "session.created" in str(await connection.recv())


async def test_versions_before_1_2_are_refused(tmp_path: Path) -> None:
    pair = make_pair(tmp_path, "one")
    assert files_of(pair.tls).context.minimum_version is ssl.TLSVersion.TLSv1_2


async def test_a_new_certificate_is_shown_without_a_restart_and_calls_go_on(tmp_path: Path) -> None:
    one, two = make_pair(tmp_path, "one"), make_pair(tmp_path, "two")
    trusted = trusting(one, two)
    async with running(tls=files_of(one.tls)) as gateway:
        assert await common_name(gateway.url, trusted) == "one"
        async with connect(gateway.realtime_url, ssl=trusted) as call:
            await call.recv()
            two.certificate.replace(one.certificate)
            two.key.replace(one.key)
            async with asyncio.timeout(2):
                while await common_name(gateway.url, trusted) != "two":
                    await asyncio.sleep(0.02)
            await call.send('{"type": "input_audio_buffer.clear"}')
            assert "input_audio_buffer.cleared" in str(await call.recv())


async def test_a_broken_new_pair_leaves_the_old_one(tmp_path: Path) -> None:
    one, two = make_pair(tmp_path, "one"), make_pair(tmp_path, "two")
    trusted = trusting(one, two)
    files = files_of(one.tls)
    async with running(tls=files) as gateway:
        for broken in (b"no certificate", two.certificate.read_bytes()):
            one.certificate.write_bytes(broken)
            await asyncio.sleep(0.2)
            assert not files.look()
            assert await common_name(gateway.url, trusted) == "one"


async def test_clients_without_a_certificate_of_ours_are_refused(tmp_path: Path) -> None:
    server, client, stranger = (make_pair(tmp_path, name) for name in ("server", "client", "stranger"))
    tls = server.tls.model_copy(update={"client_ca": str(client.certificate)})
    async with running(tls=files_of(tls)) as gateway:
        known = trusting(server)
        known.load_cert_chain(client.certificate, client.key)
        async with httpx.AsyncClient(verify=known) as http:
            assert (await http.get(f"{gateway.url}/healthz")).status_code == 200
        unknown = trusting(server)
        unknown.load_cert_chain(stranger.certificate, stranger.key)
        for context in (trusting(server), unknown):
            async with httpx.AsyncClient(verify=context) as http:
                with pytest.raises(httpx.TransportError):
                    await http.get(f"{gateway.url}/healthz")


async def test_a_peer_that_never_shakes_hands_is_dropped(tmp_path: Path) -> None:
    pair = make_pair(tmp_path, "one")
    profile = scripted_profile(handshake_s=0.2)
    async with running(profile=profile, tls=files_of(pair.tls)) as gateway:
        reader, writer = await asyncio.open_connection("127.0.0.1", httpx.URL(gateway.url).port)
        assert await asyncio.wait_for(reader.read(), 5) == b""
        writer.close()
        await writer.wait_closed()


def test_a_key_that_others_may_read_is_refused(tmp_path: Path) -> None:
    pair = make_pair(tmp_path, "one")
    pair.key.chmod(0o640)
    with pytest.raises(ConfigError, match="0640") as refused:
        files_of(pair.tls)
    assert refused.value.hint == f"chmod 600 {pair.key}"


def test_what_is_no_certificate_or_no_key_is_refused_with_its_files(tmp_path: Path) -> None:
    one, two = make_pair(tmp_path, "one"), make_pair(tmp_path, "two")
    missing = Tls(certificate=str(tmp_path / "none"), key=str(one.key))
    mixed = Tls(certificate=str(one.certificate), key=str(two.key))
    encrypted = tmp_path / "encrypted.key"
    openssl("pkey", "-in", str(one.key), "-aes128", "-passout", "pass:secret", "-out", str(encrypted))
    encrypted.chmod(0o600)
    for tls in (missing, mixed, Tls(certificate=str(one.certificate), key=str(encrypted))):
        with pytest.raises(ConfigError, match=r"tls\.key"):
            files_of(tls)


def test_half_a_pair_is_no_profile() -> None:
    for half in ({"certificate": "c"}, {"key": "k"}, {"client_ca": "a"}):
        with pytest.raises(ValidationError):
            Tls.model_validate(half)
