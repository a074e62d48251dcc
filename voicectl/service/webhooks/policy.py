"""Decide which addresses events may go to. Resolves and connects to nothing."""

import ipaddress
from collections.abc import Iterator, Sequence
from typing import Final

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

# Addresses that hand out the identity of a host to whoever asks from inside it, beside those of
# 169.254.0.0/16: IPv6 of one cloud, the wire server of a second, the metadata service of a third.
METADATA: Final = frozenset(
    ipaddress.ip_address(text) for text in ("fd00:ec2::254", "fd20:ce::254", "168.63.129.16", "100.100.100.200")
)
_NAT64: Final = (ipaddress.ip_network("64:ff9b::/96"), ipaddress.ip_network("64:ff9b:1::/48"))
_COMPATIBLE: Final = ipaddress.ip_network("::/96")


def refusal(addresses: Sequence[str], *, allow_private: bool) -> str | None:
    """Return why a name with these addresses must not be connected to, None when it may.

    One bad address refuses the name: a name that leads to both kinds was made to.
    """
    if not addresses:
        return "the name has no address"
    reasons = (refusal_of(address, allow_private=allow_private) for address in addresses)
    return next((reason for reason in reasons if reason is not None), None)


def refusal_of(address: str, *, allow_private: bool) -> str | None:
    """Return why this address must not be connected to, None when it may."""
    try:
        given = ipaddress.ip_address(address)
    except ValueError:
        return f"{address!r} is no address"
    for meant in (given, *embedded(given)):
        kind = _never(meant) or (None if allow_private else _private(meant))
        if kind is not None:
            return f"{address} is {kind}"
    return None


def embedded(address: Address) -> Iterator[ipaddress.IPv4Address]:
    """Yield the IPv4 addresses that an IPv6 address stands for: mapped, translated or tunnelled."""
    if not isinstance(address, ipaddress.IPv6Address):
        return
    if address.ipv4_mapped is not None:
        yield address.ipv4_mapped
    if address.sixtofour is not None:
        yield address.sixtofour
    if address.teredo is not None:
        yield from address.teredo
    if any(address in network for network in _NAT64):
        yield ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    if address in _COMPATIBLE and int(address) > 1:
        yield ipaddress.IPv4Address(int(address))


def _never(address: Address) -> str | None:
    """What no setting allows."""
    if address in METADATA:
        return "a metadata address"
    if address.is_link_local:
        return "link-local"
    if address.is_multicast:
        return "multicast"
    if address.is_unspecified:
        return "unspecified"
    if address == ipaddress.IPv4Address("255.255.255.255"):
        return "broadcast"
    return None


def _private(address: Address) -> str | None:
    if address.is_loopback:
        return "loopback"
    if isinstance(address, ipaddress.IPv6Address) and address.is_site_local:
        return "private"
    return None if address.is_global else "private"
