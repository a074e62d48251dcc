"""Decide which web pages may use the gateway from a browser. Pure."""

import ipaddress
from collections.abc import Collection
from urllib.parse import urlsplit

ANY_ORIGIN = "*"


def is_loopback(host: str) -> bool:
    """Return whether a host name or address means this machine alone."""
    if host.lower() == "localhost":
        return True
    address = _address(host)
    return address is not None and address.is_loopback


def listed(origin: str, allowed: Collection[str], *, on_loopback: bool) -> bool:
    """Return whether pages of `origin` may read answers: those of the profile, and this machine's own on loopback."""
    if ANY_ORIGIN in allowed or origin in allowed:
        return True
    return on_loopback and is_loopback(_host(origin) or "")


def may_connect(origin: str, host_header: str | None, allowed: Collection[str], *, on_loopback: bool) -> bool:
    """Return whether a page of `origin` may send requests to the gateway that it reached as `host_header`.

    A page that the gateway's own address served may, where that address is a number: a name could have
    been made to point here by whoever owns it.
    """
    if listed(origin, allowed, on_loopback=on_loopback):
        return True
    host = _host(origin)
    if host is None or host_header is None or _address(host) is None:
        return False
    return urlsplit(origin).netloc.lower() == host_header.lower()


def _host(origin: str) -> str | None:
    try:
        parts = urlsplit(origin)
        return parts.hostname if parts.scheme in ("http", "https") else None
    except ValueError:
        return None


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None
