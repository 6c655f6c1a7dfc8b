"""What the operator opens: exactly that, and a bad entry is named."""

from __future__ import annotations

import pytest

from fanout_lambdas.shared.allowlist import AllowList


def test_nothing_is_open_by_default() -> None:
    assert AllowList.parse("") == AllowList() == AllowList.parse(" , ")


@pytest.mark.parametrize(
    "text",
    [
        *("localhost", "10.0.0.0/33", "10.0.0.1/8", "10.0.0.0/8:", "10.0.0.0/8:0"),
        *("10.0.0.0/8:x", "[::1", "[::1]x", "[::1]:", "::1/129", "10.0.0.0/8;127.0.0.1"),
        "10.0.0.0/8:65536",
    ],
)
def test_allow_list_names_its_bad_entry(text: str) -> None:
    with pytest.raises(ValueError, match=r"network|port|bracket"):
        AllowList.parse("10.0.0.0/8, " + text)
