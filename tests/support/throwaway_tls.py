"""A server's TLS that no client trusts, for tests of what must never be accepted."""

from __future__ import annotations

import ssl
from pathlib import Path

# Made for these tests, for 127.0.0.1, trusted by nobody: the standard library cannot make one at run time.
THROWAWAY = """\
-----BEGIN CERTIFICATE-----
MIIBkTCCATagAwIBAgIUJMrSMQHn760PhaCDwozVJxezMhYwCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJMTI3LjAuMC4xMCAXDTI2MTEyMTEwMDAzNFoYDzIxMjYxMDI4
MTAwMDM0WjAUMRIwEAYDVQQDDAkxMjcuMC4wLjEwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAARK6olMz2DpjdpjqzvEGwiPOEuHa1XBGt4C2pDPmefYv7reJx2R15lM
rE9nHibO2GTFYw0mrUIecRYbMAumrwm7o2QwYjAdBgNVHQ4EFgQU19Q06U2fXz2I
lK4id2YQBV9DQD8wHwYDVR0jBBgwFoAU19Q06U2fXz2IlK4id2YQBV9DQD8wDwYD
VR0TAQH/BAUwAwEB/zAPBgNVHREECDAGhwR/AAABMAoGCCqGSM49BAMCA0kAMEYC
IQCF0mw3JuH8ui3rHK4qWdZwkDaoc6tCUSQjKu2TfiQD7AIhAMcOq7+GS4zZYQNv
tIXzHhJyVwdTdK2xTMzBs/lSm0hY
-----END CERTIFICATE-----
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQguFALpVI0+vmta5qA
YE9+D+ew5mcytQ41VUeUGX8IL/ahRANCAARK6olMz2DpjdpjqzvEGwiPOEuHa1XB
Gt4C2pDPmefYv7reJx2R15lMrE9nHibO2GTFYw0mrUIecRYbMAumrwm7
-----END PRIVATE KEY-----
"""


def self_signed(folder: Path) -> ssl.SSLContext:
    """A server's TLS context whose certificate nobody signed but itself; both parts in ``server.pem``."""
    (folder / "server.pem").write_text(THROWAWAY, encoding="ascii")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem")
    return context
