"""Where webhooks may go: a literal table of URLs and addresses, allowed and not."""

from __future__ import annotations

import ipaddress

import pytest

from configs.webhook_url import is_public, webhook_problem

ALLOWED = [
    "https://example.com",
    "https://example.com/hook?x=1#y",
    "https://EXAMPLE.com:443/hook",
    "https://8.8.8.8/hook",
    "https://[2606:4700::1111]/hook",
    "https://xn--bcher-kva.example/",
]
REFUSED = [
    *(
        "",
        "example.com",
        "//example.com/x",
        "/hook",
        "ftp://example.com/",
        "file:///etc/passwd",
        "gopher://e.com/",
    ),
    *("https://", "https:///x", "https://:443/x", "http://example.com/", "http://8.8.8.8/", "javascript:alert(1)"),
    *("https://user@example.com/", "https://user:secret@example.com/", "https://a@b@c.com/"),
    *("https://example.com:0/", "https://example.com:99999/", "https://example.com:x/"),
    *(
        "https://exa mple.com/",
        "https://example.com/\n",
        "https://example.com/\r\nx: y",
        "https://example.com\\@x/",
    ),
    *("https://bücher.example/", "https://example.com/ü", "https://[::1", "https://[zz]/"),
    *("https://127.0.0.1/", "https://127.1.2.3/", "https://0.0.0.0/", "https://10.0.0.1/", "https://172.16.0.1/"),
    *(
        "https://192.168.1.1/",
        "https://169.254.169.254/latest/meta-data",
        "https://100.64.0.1/",
        "https://224.0.0.1/",
    ),
    *("https://255.255.255.255/", "https://240.0.0.1/", "https://192.0.2.1/", "https://198.18.0.1/"),
    *("https://[::1]/", "https://[::]/", "https://[fe80::1]/", "https://[fe80::1%25eth0]/", "https://[fc00::1]/"),
    *(
        "https://[fd00:ec2::254]/",
        "https://[ff02::1]/",
        "https://[::ffff:127.0.0.1]/",
        "https://[::ffff:10.0.0.1]/",
    ),
    *("https://[2002:7f00:1::]/", "https://[64:ff9b::7f00:1]/", "https://[64:ff9b::a9fe:a9fe]/"),
    *("https://[fec0::1]/", "https://[feff::1]/", "https://192.88.99.1/", "https://168.63.129.16/metadata"),
    *("https://[::ffff:168.63.129.16]/", "https://[64:ff9b::a83f:8110]/", "https://[2002:c058:6301::]/"),
    *("https://example.com:8443/", "https://example.com:80/", "https://example.com:22/", "https://8.8.8.8:6379/"),
    "https://example.com/" + "x" * 3_000,
]


@pytest.mark.req("run.queue")
@pytest.mark.parametrize("url", ALLOWED)
def test_public_hosts_with_tls_are_allowed(url: str):
    """The legitimate twin of the refusals below."""
    assert webhook_problem(url, ()) is None


@pytest.mark.req("run.queue")
@pytest.mark.parametrize("url", REFUSED)
def test_whatever_is_private_odd_or_without_tls_is_refused_in_words_of_our_own(url: str):
    """SSRF: refused before anything is queued, and no part of the URL is quoted."""
    problem = webhook_problem(url, ())
    assert problem is not None
    assert "secret" not in problem


@pytest.mark.req("run.queue")
@pytest.mark.parametrize(
    ("url", "listed", "allowed"),
    [
        ("http://hooks.internal/x", ("hooks.internal",), True),
        ("http://HOOKS.internal:8080/x", ("Hooks.Internal:8080",), True),
        ("https://hooks.internal/x", ("hooks.internal",), True),
        ("https://hooks.internal:443/x", ("hooks.internal",), True),
        ("http://hooks.internal:80/x", ("hooks.internal",), True),
        ("http://hooks.internal:8080/x", ("hooks.internal",), False),
        ("http://hooks.internal:6379/x", ("hooks.internal:8080",), False),
        ("http://hooks.internal/x", ("hooks.internal:8080",), False),
        ("https://hooks.internal:80/x", ("hooks.internal",), False),
        ("http://hooks.internal:443/x", ("hooks.internal",), False),
        ("http://hooks.internal:8080/x", ("other:1", "hooks.internal.:8080"), True),
        ("http://hooks.internal:8080/x", ("hooks.internal:", "hooks.internal:x", ":8080"), False),
        ("http://hooks.internal./x", ("hooks.internal",), True),
        ("http://127.0.0.1:9/x", ("127.0.0.1:9",), True),
        ("http://127.0.0.1:9/x", ("127.0.0.1",), False),
        ("http://[::1]:9/x", ("[::1]:9",), True),
        ("http://[::1]:9/x", ("[::1]",), False),
        ("http://[::1]:9/x", ("::1:9",), False),
        ("http://[::1]/x", ("[::1]",), True),
        ("http://[::1]/x", ("::1",), True),
        ("http://hooks.internal.evil.com/x", ("hooks.internal",), False),
        ("http://127.0.0.2:9/x", ("127.0.0.1:9",), False),
        ("https://10.0.0.1/", ("hooks.internal",), False),
        ("ftp://hooks.internal/x", ("hooks.internal",), False),
        ("http://me:pw@hooks.internal/x", ("hooks.internal",), False),
    ],
)
def test_a_listed_host_may_be_private_and_without_tls_and_nothing_else(
    url: str, listed: tuple[str, ...], allowed: bool
):
    """The operator vouches for exactly the host and port that the URL names; without a port only for the usual."""
    assert (webhook_problem(url, listed) is None) is allowed


@pytest.mark.req("run.queue")
@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("1.1.1.1", True),
        ("2001:4860:4860::8888", True),
        ("::ffff:8.8.8.8", True),
        ("64:ff9b::808:808", True),
        ("2002:808:808::", True),
        ("::ffff:169.254.169.254", False),
        ("2002:a00:1::", False),
        ("fec0::1", False),
        ("192.88.99.255", False),
        ("192.88.98.1", True),
        ("168.63.129.16", False),
        ("168.63.129.17", True),
        ("64:ff9b::a00:1", False),
        ("2001:0:4136:e378:8000:63bf:f7f7:f7f7", True),
        ("2001:0:4136:e378:8000:63bf:80ff:fffe", False),
        ("0.1.2.3", False),
        ("192.0.0.170", False),
    ],
)
def test_an_address_that_carries_another_is_judged_by_it(address: str, public: bool):
    """Mapped, 6to4, NAT64 and Teredo forms hide no private address."""
    assert is_public(ipaddress.ip_address(address)) is public
