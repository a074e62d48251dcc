"""Secrets are taken out of texts that leave a host; what helps to find them stays."""

import pytest

from voicectl.provision.redact import HIDDEN, redact

SECRET = "s3cr3tV4lue_xyz-123"


@pytest.mark.parametrize(
    "text",
    [
        f"vk_0123456789ab_{SECRET}",
        f"Authorization: Bearer {SECRET}",
        f"password={SECRET}",
        f'{{"password": "{SECRET}"}}',
        f"ansible_become_password: {SECRET}",
        f"redis://user:{SECRET}@valkey:6379/0",
        f"VOICECTL_API_KEY={SECRET}",
        f"signing_secret: '{SECRET}'",
        f"whsec_{SECRET}",
        f"-----BEGIN OPENSSH PRIVATE KEY-----\n{SECRET}\n-----END OPENSSH PRIVATE KEY-----",
        f"-----BEGIN PRIVATE KEY-----\n{SECRET}\ncut off",
    ],
)
def test_secret_does_not_survive(text: str) -> None:
    shown = redact(text)
    assert SECRET not in shown
    assert HIDDEN in shown


def test_id_of_a_key_stays() -> None:
    assert redact(f"key vk_0123456789ab_{SECRET} refused") == f"key vk_0123456789ab_{HIDDEN} refused"


@pytest.mark.parametrize(
    "text",
    [
        "phase 4: place the release",
        "sha256 is 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "https://host.example/path?x=1",
        "llm: prompt tokens 12, cached 10",
        "the secret is 12 days old",
    ],
)
def test_plain_text_stays_as_it_is(text: str) -> None:
    assert redact(text) == text
