"""Signatures by the Standard Webhooks scheme."""

import base64
import hashlib
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from voicectl.core.errors import ConfigError
from voicectl.service.webhooks.signing import SecretFile, parse_secrets, sign, signed_headers

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo="
OTHER = "whsec_" + base64.b64encode(bytes(range(32))).decode()
BODY = b'{"type":"session.started","timestamp":"2023-11-14T22:13:20.000Z","data":{}}'
# printf '%s' 'evt_….1700000000.{…}' | openssl dgst -sha256 -mac HMAC -macopt hexkey:31f290…298a -binary | base64
BY_OPENSSL = "v1,8SOAbok4pM1BkrBS7kN/l3jv1JX4urtjilwY0EZ2mQM="


def by_definition(secret: bytes, message: bytes) -> str:
    """HMAC as RFC 2104 defines it, from the bare hash."""
    key = secret.ljust(64, b"\0")
    inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in key) + message).digest()
    outer = hashlib.sha256(bytes(byte ^ 0x5C for byte in key) + inner).digest()
    return "v1," + base64.b64encode(outer).decode()


def test_a_signature_is_the_one_that_openssl_computes() -> None:
    secrets = parse_secrets(SECRET, origin="test")
    assert sign(secrets, "evt_0123456789abcdef", 1_700_000_000, BODY) == BY_OPENSSL


def test_a_signature_is_an_hmac_of_id_timestamp_and_body() -> None:
    secrets = parse_secrets(OTHER, origin="test")
    expected = by_definition(secrets[0], b"evt_1.12." + BODY)
    assert sign(secrets, "evt_1", 12, BODY) == expected


def test_during_a_rotation_every_secret_signs() -> None:
    secrets = parse_secrets(f"{SECRET}\n\n  {OTHER}  \n", origin="test")
    headers = signed_headers(secrets, "evt_0123456789abcdef", 1_700_000_000, BODY)
    assert headers["webhook-signature"].split(" ") == [
        BY_OPENSSL,
        by_definition(secrets[1], b"evt_0123456789abcdef.1700000000." + BODY),
    ]
    assert headers["webhook-id"] == "evt_0123456789abcdef"
    assert headers["webhook-timestamp"] == "1700000000"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "holds 0 secrets"),
        (f"{SECRET}\n" * 9, "holds 9 secrets"),
        ("c2VjcmV0c2VjcmV0", "line 1 does not begin with whsec_"),
        (f"{SECRET}\nwhsec_not*base64", "line 2 is no base64"),
        ("whsec_" + base64.b64encode(bytes(23)).decode(), "line 1 has 23 bytes"),
        ("whsec_" + base64.b64encode(bytes(65)).decode(), "line 1 has 65 bytes"),
    ],
)
def test_unusable_secrets_are_refused_without_quoting_them(text: str, problem: str) -> None:
    with pytest.raises(ConfigError) as error:
        parse_secrets(text, origin="crm.whsec")
    assert error.value.message.startswith("crm.whsec")
    assert problem in error.value.message
    assert not any(line.removeprefix("whsec_") in error.value.message for line in text.split())


def test_a_changed_file_is_read_anew_and_an_unusable_one_is_not(tmp_path: Path) -> None:
    path = tmp_path / "crm.whsec"
    path.write_text(SECRET)
    path.chmod(0o600)
    file = SecretFile(path)
    assert file.load() == parse_secrets(SECRET, origin="")
    path.write_text(f"{OTHER}\n{SECRET}\n")
    assert file.current() == parse_secrets(f"{OTHER}\n{SECRET}", origin="")
    path.write_text("oops")
    with capture_logs() as logs:
        assert len(file.current()) == 2
        path.unlink()
        assert len(file.current()) == 2
    assert [entry["event"] for entry in logs] == ["secret_not_renewed"] * 2


def test_a_missing_file_is_a_configuration_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"crm\.whsec: cannot be read"):
        SecretFile(tmp_path / "crm.whsec").load()


def test_a_file_that_all_may_read_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "crm.whsec"
    path.write_text(SECRET)
    path.chmod(0o644)
    with capture_logs() as logs:
        SecretFile(path).load()
    assert logs[0]["event"] == "secret_readable_by_all"
