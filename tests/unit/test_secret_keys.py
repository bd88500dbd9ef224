"""The server's own keys: what is made of them, and that they are never shown."""

import pytest
from pydantic import SecretStr

from api.secret_keys import CHARACTERS_MIN, SecretKeys
from engine.settings import InvalidSettingError, Settings, load_settings

OLD, NEW = "an-old-secret-key-that-only-tests-have", "a-new-secret-key-that-only-tests-have"


def keys(text: str) -> SecretKeys:
    return SecretKeys.of(Settings(secret_keys=text))


def test_the_newest_is_first_and_the_older_are_there() -> None:
    newest, older = keys(f" {NEW} , {OLD},").for_purpose("hashes")
    assert (newest,) == keys(NEW).for_purpose("hashes")
    assert (older,) == keys(OLD).for_purpose("hashes")
    assert newest.name != older.name
    assert newest.sign(b"message") != older.sign(b"message")


def test_a_key_is_another_one_for_each_purpose() -> None:
    (hashes,), (cursors,) = keys(NEW).for_purpose("hashes"), keys(NEW).for_purpose("cursors")
    assert hashes.name == cursors.name
    assert hashes.sign(b"message") != cursors.sign(b"message")
    assert hashes.sign(b"message") == keys(NEW).for_purpose("hashes")[0].sign(b"message")


@pytest.mark.parametrize(
    "text",
    ["", ",", "x" * (CHARACTERS_MIN - 1), f"{NEW},short", "ü" * 64, "a b" * 20, "\udcff" * 64],
)
def test_a_key_that_is_missing_or_bad_is_told_without_showing_any(text: str) -> None:
    settings = Settings.model_construct(secret_keys=SecretStr(text))
    with pytest.raises(InvalidSettingError, match=r"WALLET_SECRET_KEYS.*token_hex") as raised:
        SecretKeys.of(settings)
    assert NEW not in str(raised.value)
    assert "short" not in str(raised.value)


def test_no_text_shows_a_key() -> None:
    made = keys(NEW)
    settings = Settings(
        secret_keys=NEW,
        kafka_sasl_password="s3cret",
        database_url="postgresql://wallet:s3cret@127.0.0.1/wallet",
    )
    derived = made.for_purpose("hashes")[0]
    for text in map(repr, (made, derived, settings, (made,))):
        assert NEW not in text
        assert "s3cret" not in text
        assert str(derived.secret) not in text
    assert NEW not in str(settings)


@pytest.mark.parametrize("name", ["secret_keys", "kafka_sasl_password", "database_url"])
def test_a_wrong_setting_that_may_hold_a_secret_is_not_repeated(name: str) -> None:
    with pytest.raises(InvalidSettingError, match=f"WALLET_{name.upper()}") as raised:
        load_settings(**{name: ["s3cret"]})
    assert "s3cret" not in str(raised.value)


def test_every_setting_that_may_hold_a_secret_is_known() -> None:
    for name in Settings.model_fields:
        if any(part in name for part in ("password", "secret", "database_url")):
            assert "s3cret" not in repr(Settings(**{name: "s3cret"}))
