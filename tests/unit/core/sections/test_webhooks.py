"""What a profile may say about webhooks."""

import pytest
from pydantic import ValidationError

from voicectl.core.sections.webhooks import WebhookEndpoint, Webhooks


def endpoint(url: str = "https://crm.example/hook", name: str = "crm") -> WebhookEndpoint:
    return WebhookEndpoint(name=name, url=url, secret_file="/etc/voicectl/crm.whsec")


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("ftp://crm.example/", "neither http nor https"),
        ("file:///etc/passwd", "neither http nor https"),
        ("https:///hook", "names no host"),
        ("https://user:pass@crm.example/", "credentials do not belong in the URL"),
        ("https://crm.example/#part", "fragment"),
        ("https://crm.example:99999/", "cannot be read"),
        ("https://[::1/", "cannot be read"),
    ],
)
def test_urls_that_are_not_plain_http_are_refused(url: str, problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        endpoint(url)


def test_two_receivers_of_one_name_are_refused() -> None:
    with pytest.raises(ValidationError, match="must differ"):
        Webhooks(endpoints=(endpoint(), endpoint("https://other.example")))


def test_unknown_events_are_refused() -> None:
    with pytest.raises(ValidationError, match="events"):
        WebhookEndpoint.model_validate(endpoint().model_dump() | {"events": ["call.exploded"]})


def test_private_addresses_and_transcripts_are_off_by_default() -> None:
    assert not endpoint().allow_private
    assert not endpoint().include_transcripts
