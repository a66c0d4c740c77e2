"""Personal data: encrypted at rest, found by a keyed hash, masked on screen, absent from the logs."""

from __future__ import annotations

import functools
import hashlib
import hmac
import re

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from bot import settings


@functools.cache
def _cipher() -> MultiFernet:
    return MultiFernet([Fernet(key) for key in settings.settings().fernet_keys()])


@functools.cache
def _secret() -> bytes:
    return settings.settings().secret()


def seal(text: str) -> str:
    return _cipher().encrypt(text.encode("utf-8", "surrogatepass")).decode("ascii")


def unseal(sealed: str) -> str:
    """Raises `settings.SettingsError` when none of the keys opens it."""
    try:
        return _cipher().decrypt(sealed.encode("ascii")).decode("utf-8", "surrogatepass")
    except InvalidToken:
        raise settings.SettingsError("HOTLINE_PII_KEYS：没有一把密钥能打开已存的数据，请把旧密钥补在后面") from None


def fingerprint(*parts: str) -> str:
    """A keyed hash: finds or names a person without saying who. 32 hex digits."""
    return hmac.new(_secret(), "\x1f".join(parts).encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()[:32]


_NUMBERS = re.compile(r"(?<!\d)(\d{3,6})\d{4,10}(\d{4}|\d{3}[Xx])(?!\d)")


def mask(text: str) -> str:
    """Long numbers (phones, ID and bank cards) with their middle hidden, for lists and notices."""
    return _NUMBERS.sub(lambda found: f"{found[1][:3]}****{found[2]}", text)
