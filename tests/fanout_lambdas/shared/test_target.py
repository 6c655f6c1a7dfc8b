"""The one parser: each URL has one normal form, and no other parser reads another host in it."""

from __future__ import annotations

from ipaddress import IPv6Address
from urllib.parse import urlsplit

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fanout_lambdas.shared.netguard import ALL_SCHEMES, Blocked, check_url, parse_url
from tests.fanout_lambdas.shared.public_urls import ORDINARY, PUBLIC_URLS, REFUSED

_HOSTS = st.one_of(
    st.from_regex(
        r"[a-z0-9_]([a-z0-9_-]{0,8}[a-z0-9_])?(\.[a-z0-9-]{1,6}){1,3}\.?", fullmatch=True
    ),
    st.ip_addresses().map(lambda ip: f"[{ip}]" if ip.version == 6 else str(ip)),
    st.text(alphabet="aäßéжل日0١１.。-_%@[]:\\ \t\u200d\u0301\u212a", min_size=1, max_size=14),
    st.text(min_size=1, max_size=10),
)
_PATHS = st.one_of(
    st.just(""), st.text(max_size=20).map(lambda text: "/" + text), st.text(max_size=8)
)
_URLS = st.builds(
    "{}{}{}{}{}".format,
    st.sampled_from(
        ["http://", "https://", "HTTP://", "http:/", "http:", "tcp://", "tls://", "dns://"]
    ),
    st.sampled_from(["", "", "", "user@", "a:b@"]),
    _HOSTS,
    st.one_of(st.just(""), st.integers(0, 70_000).map(lambda port: f":{port}")),
    _PATHS,
)


@pytest.mark.parametrize(("url", "normal"), PUBLIC_URLS.items())
def test_public_url_passes_in_its_normal_form(url: str, normal: str) -> None:
    assert check_url(url).url == normal
    assert check_url(normal).url == normal


def test_ordinary_urls_pass() -> None:
    refused = {url for url in ORDINARY if not _passes(url)}
    assert refused == REFUSED
    assert len(ORDINARY) >= 100
    assert len(refused) <= len(ORDINARY) * 0.05


@pytest.mark.parametrize("url", [*ORDINARY, *PUBLIC_URLS])
def test_other_parsers_read_the_same_host(url: str) -> None:
    if url not in REFUSED:
        _read_alike(url)


@given(_URLS)
@settings(max_examples=300, deadline=None)
def test_no_parser_reads_another_host_in_what_passes(url: str) -> None:
    try:
        target = parse_url(url, ALL_SCHEMES)
    except Blocked:
        return
    assert parse_url(target.url, ALL_SCHEMES) == target
    assert target.url.isascii()
    _read_alike(url)


@pytest.mark.parametrize(
    ("url", "scheme", "normal", "port"),
    [
        ("tcp://Example.com:25", "tcp", "tcp://example.com:25", 25),
        ("tcp://example.com:80/", "tcp", "tcp://example.com:80", 80),
        ("tcp://[2606:4700:4700::1111]:22", "tcp", "tcp://[2606:4700:4700::1111]:22", 22),
        ("tls://example.com", "tls", "tls://example.com", 443),
        ("TLS://example.com:443", "tls", "tls://example.com", 443),
        ("tls://bücher.example:993", "tls", "tls://xn--bcher-kva.example:993", 993),
        ("dns://_dmarc.Example.com.", "dns", "dns://_dmarc.example.com", 53),
        ("dns://com", "dns", "dns://com", 53),
    ],
)
def test_other_schemes_have_their_own_forms(url: str, scheme: str, normal: str, port: int) -> None:
    target = parse_url(url, (scheme,))
    assert (target.url, target.port, target.path) == (normal, port, "")
    assert parse_url(normal, (scheme,)) == target
    with pytest.raises(Blocked, match=r"http:// or https://"):
        parse_url(url)


@pytest.mark.parametrize(
    ("url", "rule"),
    [
        *(("tcp://example.com", "port"), ("tcp://example.com:", "port"), ("tcp://:80", "host")),
        *(("tcp://example.com:80/x", "path"), ("tcp://example.com:80?x", "path")),
        *(("tcp://example.com:80#x", "path"), ("tls://example.com//", "path")),
        *(("dns://example.com:53", "port"), ("dns://example.com/A", "path"), ("dns://", "host")),
        *(("tcp://user@example.com:80", "userinfo"), ("tcp:example.com:80", "host")),
        *(("tcp://example.com:80 ", "characters"), ("tls://0x7f.1", "spelling")),
    ],
)
def test_other_schemes_refuse_what_does_not_belong(url: str, rule: str) -> None:
    with pytest.raises(Blocked) as caught:
        parse_url(url, ALL_SCHEMES)
    assert caught.value.rule == rule


def _passes(url: str) -> bool:
    try:
        check_url(url)
    except Blocked:
        return False
    return True


def _read_alike(url: str) -> None:
    """The host that passed is the host for other readers too, of the URL and of its normal form."""
    target = parse_url(url, ALL_SCHEMES)
    for text in (url, target.url):
        try:
            seen = httpx.URL(text).raw_host.decode("ascii")
        except httpx.InvalidURL:
            assert text is url  # nobody refuses a normal form
        else:
            assert _bare(seen) == target.host
    split = urlsplit(target.url)
    assert (split.scheme, split.hostname, split.username) == (target.scheme, target.host, None)
    assert split.port in (None, target.port)
    if url.isascii():
        assert _bare(urlsplit(url).hostname or "") == target.host


def _bare(host: str) -> str:
    host = host.strip("[]").removesuffix(".")
    return str(IPv6Address(host)) if ":" in host else host
