"""When an address leaves its origin, so that stored secrets must stay behind."""

from __future__ import annotations

import pytest

from checks.masking import leaves_origin


@pytest.mark.parametrize(
    ("old", "new", "leaves"),
    [
        ("https://a.test/x", "https://a.test/y?z=1", False),
        ("https://a.test/", "https://A.TEST.:443/", False),
        ("http://a.test/", "https://a.test/", False),
        ("https://a.test/", "http://a.test/", True),
        ("http://a.test:8080/", "https://a.test:8443/", True),
        ("http://a.test/", "https://a.test:8443/", True),
        ("https://a.test/", "https://a.test:444/", True),
        ("https://a.test/", "https://www.a.test/", True),
        ("https://a.test/", "https://b.test/", True),
        ("broken", "https://b.test/", True),
        ("tcp://a.test:8443", "tcp://a.test:8443", False),
        ("tcp://a.test:8443", "tcp://a.test:8444", True),
        ("tls://a.test", "tls://b.test", True),
        ("tls://a.test", "https://a.test/", True),
    ],
)
def test_the_origin_is_scheme_host_and_port(old: str, new: str, leaves: bool) -> None:
    assert leaves_origin(old, new) is leaves
