"""Where a webhook may go, as far as its URL and its addresses say. Pure; resolving a name is the caller's.

Everything public is allowed with TLS on port 443. What is private, loopback, link-local, reserved, without TLS or
on another port is allowed only where the operator has listed it (``queue.webhook_hosts``): an engine must not be a
way into its own network, and one listed port is not all that listens there.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from urllib.parse import SplitResult, urlsplit

URL_CHARS_MAX = 2_048
NAT64 = ipaddress.ip_network("64:ff9b::/96")
# The standard library counts these as global: site-local (RFC 3879), 6to4 relays (RFC 7526), a cloud's host agent.
NOT_PUBLIC = tuple(ipaddress.ip_network(net) for net in ("fec0::/10", "192.88.99.0/24", "168.63.129.16/32"))
PORTS = {"http": 80, "https": 443}
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def webhook_problem(url: str, listed: Iterable[str]) -> str | None:
    """What is wrong with ``url``, as the end of a sentence, or ``None``. Quotes no part of it."""
    if len(url) > URL_CHARS_MAX or not url.isascii() or not url.isprintable() or " " in url:
        return f"must be at most {URL_CHARS_MAX} printable ASCII characters"
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return "is none that can be read"
    if parts.scheme not in PORTS or not host or "\\" in url:
        return "must begin with https:// and name a host"
    if parts.username is not None or parts.password is not None or port == 0:
        return "must not hold a user, a password or port 0"
    return None if is_listed(parts, listed) else _problem_of_a_stranger(parts)


def _problem_of_a_stranger(parts: SplitResult) -> str | None:
    if parts.scheme != "https":
        return "must be https, or its host must be listed"
    if parts.port not in (None, PORTS["https"]):
        return "must be on port 443, or its host must be listed with its port"
    address = literal(parts.hostname or "")
    private = address is not None and not is_public(address)
    return "names an address that is not public, and its host is not listed" if private else None


def is_listed(parts: SplitResult, listed: Iterable[str]) -> bool:
    """Whether the operator vouches for this host and port. ``parts``: of http or https, with a port in range.

    An entry is ``host``, which means the default port of the URL's scheme, or ``host:port``; an IPv6 address that
    is followed by a port stands in brackets.
    """
    default = PORTS[parts.scheme]
    here = ((parts.hostname or "").rstrip("."), parts.port or default)
    return any((host, port or default) == here for host, port in map(_vouched, listed))


def _vouched(entry: str) -> tuple[str, int | None]:
    host, colon, port = entry.lower().rpartition(":")
    if literal(entry.strip("[]")) is not None or not (colon and port.isdecimal()):
        host, port = entry.lower(), ""
    return host.strip("[]").rstrip("."), int(port) if port else None


def literal(host: str) -> Address | None:
    """The address that ``host`` spells in the usual way, or ``None`` for a name."""
    try:
        return ipaddress.ip_address(host.split("%", 1)[0])
    except ValueError:
        return None


def is_public(address: Address) -> bool:
    """Whether anybody on the internet may be behind it; an address that carries another one is that other one."""
    inner = _carried(address) if isinstance(address, ipaddress.IPv6Address) else None
    if inner is not None:
        return is_public(inner)
    if any(address in network for network in NOT_PUBLIC):
        return False
    return address.is_global and not address.is_multicast and not address.is_reserved


def _carried(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address in NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    return None if address.teredo is None else address.teredo[1]
