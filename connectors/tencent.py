"""What WeChat and WeCom share: the callback's signature, its encryption, its XML, and access tokens."""

from __future__ import annotations

import asyncio
import base64
import hmac
import json
import re
import secrets
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from xml.parsers import expat

import structlog
import xmltodict
from wechatpy.crypto import PrpCrypto
from wechatpy.utils import WeChatSigner

from connectors.base import Refused, SendError, Store
from connectors.pages import clean

log = structlog.get_logger(__name__)

_AES_KEY = re.compile(r"[A-Za-z0-9+/]{43}")
_BLOCK = 32
# The platform hands out the next token in the last five minutes of the old one, and honours both until its end.
_OVERLAP = 300
_REFRESH_LASTS = timedelta(seconds=10)
# `force_refresh` is allowed 20 times a day: one in 75 minutes stays below that whatever happens.
_FORCED_EVERY = timedelta(minutes=75)


def sign(*parts: str) -> str:
    """The platform's signature: SHA-1, in hex, over the sorted parts put together."""
    signer = WeChatSigner()
    signer.add_data(*(part.encode("utf-8", "replace") for part in parts))
    return str(signer.signature)


def check_signature(given: str, token: str, *parts: str) -> None:
    """Raises `Refused` unless `given` is the signature of `token` and `parts`; takes the same time either way."""
    if not token:
        raise Refused("no callback token is configured")
    if not hmac.compare_digest(sign(token, *parts).encode(), given.encode("utf-8", "replace")):
        raise Refused("wrong signature")


def aes_key(encoded: str) -> bytes:
    """The 32 bytes of an EncodingAESKey. Raises `ValueError` when it is not 43 characters of base64."""
    if not _AES_KEY.fullmatch(encoded):
        raise ValueError("应是 43 个字母或数字")
    return base64.b64decode(encoded + "=")


class _Cipher(PrpCrypto):  # type: ignore[misc]  # the library is untyped
    """The library's AES with filler that cannot be guessed, and a reading that fails in one way only."""

    def get_random_string(self) -> str:
        return secrets.token_hex(8)

    def open(self, encrypted: str, receiver: str) -> bytes:
        """The message within. Raises `ValueError` for anything that was not made with this key for `receiver`."""
        sealed = base64.b64decode(encrypted)
        if not sealed or len(sealed) % 16:
            raise ValueError("not whole blocks")
        plain: bytes = self.cipher.decrypt(sealed)
        padding = plain[-1]
        if not 1 <= padding <= _BLOCK or plain[-padding:] != bytes([padding]) * padding:
            raise ValueError("wrong padding")
        content = plain[16:-padding]
        length = int.from_bytes(content[:4], "big")
        message, addressee = content[4 : 4 + length], content[4 + length :]
        if len(message) != length or not hmac.compare_digest(addressee, receiver.encode()):
            raise ValueError("meant for somebody else")
        return message


@dataclass(frozen=True, slots=True)
class Opened:
    """A decrypted message, and which of our keys opened it (0 is the current one)."""

    message: bytes
    key: int


class MessageCrypt:
    """Seals and opens callback messages for one account. `keys` are EncodingAESKeys, the current one first."""

    def __init__(self, token: str, receiver: str, keys: Sequence[str]) -> None:
        self._token = token
        self._receiver = receiver
        self._ciphers = [_Cipher(aes_key(key)) for key in keys]

    def open(self, encrypted: str, signature: str, timestamp: str, nonce: str) -> Opened:
        """Verify and decrypt, trying each key in turn. Raises `Refused`."""
        check_signature(signature, self._token, timestamp, nonce, encrypted)
        for number, cipher in enumerate(self._ciphers):
            try:
                return Opened(cipher.open(encrypted, self._receiver), number)
            except ValueError:
                continue
        raise Refused("no key opens the message, or it is for another account")

    def seal(self, message: str, key: int, timestamp: int, nonce: str) -> str:
        """The envelope, as XML, for a reply of which `message` is the plain XML."""
        encrypted = self._ciphers[key].encrypt(message, self._receiver).decode()
        signature = sign(self._token, str(timestamp), nonce, encrypted)
        return (
            f"<xml><Encrypt><![CDATA[{encrypted}]]></Encrypt><MsgSignature><![CDATA[{signature}]]></MsgSignature>"
            f"<TimeStamp>{timestamp}</TimeStamp><Nonce><![CDATA[{nonce}]]></Nonce></xml>"
        )


class _PlainExpat:
    """Expat that takes no document types: xmltodict itself stops entities only."""

    @staticmethod
    def ParserCreate(encoding: str | None, separator: str | None) -> expat.XMLParserType:
        parser = expat.ParserCreate(encoding, separator)
        parser.StartDoctypeDeclHandler = _refuse_doctype
        return parser


def _refuse_doctype(*_: object) -> None:
    raise ValueError("document types are not taken")


def read_xml(body: bytes) -> dict[str, Any]:
    """The nodes under `<xml>`; text as `str`, nested nodes as dict, repeated ones as list, empty ones as None.

    Users' control characters travel raw inside CDATA and would break any parser: they are dropped first. Raises
    `Refused` with status 400 for everything that is not such a document.
    """
    text = clean(body.decode("utf-8", "replace").removeprefix("\ufeff"))
    try:
        document = xmltodict.parse(text, expat=_PlainExpat)
    except Exception as error:
        raise Refused(f"not readable XML: {type(error).__name__}", status=400) from None
    nodes = document.get("xml") if document else None
    if not isinstance(nodes, dict):
        raise Refused("the XML has no <xml> with nodes in it", status=400)
    return nodes


def text_of(nodes: dict[str, Any], name: str) -> str:
    """The text of a node, clean, "" when missing. Raises `Refused` with status 400 when it is nested or repeated."""
    value = nodes.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise Refused(f"<{name}> is not plain text", status=400)
    return clean(value)


Ask = Callable[[bool], Awaitable[tuple[str, int]]]


@dataclass(frozen=True, slots=True)
class Refusal:
    """What an error code means for the message at hand; the fields are those of `SendError`."""

    reason: str
    retryable: bool = False
    hold: bool = False
    unreachable: bool = False
    alarm: bool = False
    spent: bool = False
    after: timedelta | None = None


class AccessTokens:
    """The account's access token, shared by all processes through the store; one of them renews it, the rest wait.

    `ask(force)` fetches a token and its seconds to live from the platform, or raises `SendError`.
    """

    def __init__(self, store: Store, account: str, ask: Ask) -> None:
        self._store = store
        self._key = f"token:{account}"
        self._ask = ask

    async def get(self, rejected: str | None = None) -> str:
        """A token that is not `rejected`, which the platform has just refused.

        Waits while another process renews; the caller sets the time limit. Raises `SendError`.
        """
        mine = secrets.token_hex(8)
        while True:
            if (held := await self._held()) and held != rejected:
                return held
            if await self._store.acquire(f"{self._key}:lock", mine, ttl=_REFRESH_LASTS):
                break
            await asyncio.sleep(0.05)
        try:
            if (held := await self._held()) and held != rejected:
                return held
            return await self._renew(rejected)
        finally:
            await self._store.delete_if(f"{self._key}:lock", mine)

    async def age(self) -> timedelta | None:
        """How long ago the token that is in use was fetched, by whichever process; None when there is none."""
        try:
            kept = json.loads(await self._store.get(self._key) or "{}")
            return timedelta(seconds=max(0.0, time.time() - kept["at"]))
        except (ValueError, KeyError, TypeError):
            return None

    async def _held(self) -> str | None:
        found = await self._store.get(self._key)
        try:
            kept = json.loads(found or "{}")
            return str(kept["token"]) if kept["until"] > time.time() else None
        except (ValueError, KeyError, TypeError):
            return None

    async def _renew(self, rejected: str | None) -> str:
        token, lasts = await self._ask(False)
        if token == rejected:
            if not await self._store.acquire(f"{self._key}:forced", token, ttl=_FORCED_EVERY):
                raise SendError("平台不认访问令牌，刚刚强制换过一次", retryable=False, hold=True, alarm=True)
            token, lasts = await self._ask(True)
        useful = max(lasts - _OVERLAP, lasts // 2, 1)
        now = time.time()
        kept = json.dumps({"token": token, "at": now, "until": now + useful})
        await self._store.set(self._key, kept, ttl=timedelta(seconds=useful))
        log.info("access_token_renewed", lasts=lasts, after_rejection=rejected is not None)
        return token
