"""Where events may go."""

import pytest

from voicectl.service.webhooks.policy import refusal, refusal_of

PUBLIC = ["93.184.216.34", "2606:2800:220:1:248:1893:25c8:1946", "64:ff9b::5db8:d822"]
PRIVATE = [
    "127.0.0.1",
    "127.8.9.1",
    "10.1.2.3",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "100.64.0.1",
    "198.18.0.1",
    "240.0.0.1",
    "0.1.2.3",
    "::1",
    "fc00::1",
    "fd12:3456::1",
    "fec0::1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::127.0.0.1",
    "64:ff9b::a00:1",
    "64:ff9b:1::7f00:1",
    "2002:7f00:1::",
    "2002:a00:1::1",
    "2001:db8::1",
]
NEVER = [
    "169.254.169.254",
    "169.254.0.1",
    "fe80::1",
    "::ffff:169.254.169.254",
    "64:ff9b::a9fe:a9fe",
    "2002:a9fe:a9fe::",
    "fd00:ec2::254",
    "168.63.129.16",
    "100.100.100.200",
    "224.0.0.1",
    "ff02::1",
    "0.0.0.0",
    "::",
    "::ffff:0.0.0.0",
    "255.255.255.255",
]


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_may_be_connected_to(address: str) -> None:
    assert refusal_of(address, allow_private=False) is None


@pytest.mark.parametrize("address", PRIVATE)
def test_private_addresses_in_every_disguise_need_leave(address: str) -> None:
    refused = refusal_of(address, allow_private=False)
    assert refused is not None
    assert refused.startswith(address)
    assert refusal_of(address, allow_private=True) is None


@pytest.mark.parametrize("address", NEVER)
def test_link_local_metadata_and_multicast_addresses_are_never_connected_to(address: str) -> None:
    assert refusal_of(address, allow_private=False) is not None
    assert refusal_of(address, allow_private=True) is not None


@pytest.mark.parametrize("address", ["", "localhost", "1.2.3", "fe80::1%eth0", "0x7f.1"])
def test_what_is_no_plain_public_address_is_refused(address: str) -> None:
    assert refusal_of(address, allow_private=True) is not None


def test_one_bad_address_refuses_the_name() -> None:
    assert refusal(["93.184.216.34", "10.0.0.1"], allow_private=False) == "10.0.0.1 is private"
    assert refusal(["10.0.0.1", "169.254.169.254"], allow_private=True) == "169.254.169.254 is link-local"
    assert refusal(["93.184.216.34"], allow_private=False) is None
    assert refusal([], allow_private=True) == "the name has no address"
