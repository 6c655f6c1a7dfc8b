"""Sealed secrets: only the region's keys open them, old keys still do during a rotation."""

from __future__ import annotations

import pytest

from fanout_lambdas.sealing import SealBroken, Sealer, new_key

SECRETS = {
    "headers": {"X-Api-Key": "open sesame"},
    "auth": {"type": "bearer", "token": "t"},
    "body": "é",
}


def test_sealed_text_hides_and_comes_back() -> None:
    sealer = Sealer([new_key()])
    sealed = sealer.seal(SECRETS)
    assert "sesame" not in sealed
    assert sealer.open(sealed) == SECRETS


def test_rotation_opens_old_seals_and_seals_with_the_new_key() -> None:
    old, new = new_key(), new_key()
    sealed = Sealer([old]).seal(SECRETS)
    rotated = Sealer([new, old])
    assert rotated.open(sealed) == SECRETS
    assert Sealer([new]).open(rotated.seal(SECRETS)) == SECRETS


@pytest.mark.parametrize("change", [lambda s: s[:-4] + "AAA=", lambda s: "", lambda s: "é"])
def test_altered_or_foreign_text_stays_closed(change: object) -> None:
    sealer = Sealer([new_key()])
    assert callable(change)
    with pytest.raises(SealBroken):
        sealer.open(change(sealer.seal(SECRETS)))
    with pytest.raises(SealBroken):
        sealer.open(Sealer([new_key()]).seal(SECRETS))


@pytest.mark.parametrize("keys", [[], ["short"], [""]])
def test_bad_keys_are_refused(keys: list[str]) -> None:
    with pytest.raises(ValueError, match="key"):
        Sealer(keys)


def test_keys_are_not_shown() -> None:
    key = new_key()
    assert key not in repr(Sealer([key]))
