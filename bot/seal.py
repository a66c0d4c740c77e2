"""Files under seal: encrypted piece by piece, so that a large one never lies in memory, or on a disk in the open.

A sealed file is `HLF1`, a salt of 16 bytes, and pieces of AES-256-GCM. Its key is drawn from a PII key and the salt;
each piece is bound to the file's name, its place and whether it is the last: nothing can be swapped, moved or cut off.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncGenerator, Callable, Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from bot.errors import HotlineError

PIECE = 256 * 1024
_MARK = b"HLF1"
_SALT, _TAG = 16, 16


class Damaged(HotlineError):
    """The file is not what we wrote, or no key of ours opens it."""


class Sealer:
    """Takes a file in parts of any size and gives back what is to be written; `end` gives the rest."""

    def __init__(self, key: bytes, name: str) -> None:
        salt = secrets.token_bytes(_SALT)
        self._cipher, self._name = _cipher(key, salt), name.encode()
        self._waiting, self._ready, self._count = bytearray(), bytearray(_MARK + salt), 0

    def add(self, part: bytes) -> bytes:
        self._waiting += part
        # The last piece is marked as such, so one is always kept back.
        while len(self._waiting) > PIECE:
            self._close(bytes(self._waiting[:PIECE]), last=False)
            del self._waiting[:PIECE]
        return self._taken()

    def end(self) -> bytes:
        self._close(bytes(self._waiting), last=True)
        return self._taken()

    def _close(self, piece: bytes, *, last: bool) -> None:
        self._ready += self._cipher.encrypt(_nonce(self._count, last), piece, self._name)
        self._count += 1

    def _taken(self) -> bytes:
        ready, self._ready = bytes(self._ready), bytearray()
        return ready


async def unsealed(read: Callable[[int], bytes], keys: Sequence[bytes], name: str) -> AsyncGenerator[bytes, None]:
    """The pieces of a file that was sealed under `name` with one of `keys`; `read` blocks and runs in a thread.

    Raises `Damaged` before it gives out anything that was tampered with.
    """
    head = await asyncio.to_thread(_exactly, read, len(_MARK) + _SALT)
    if len(head) != len(_MARK) + _SALT or not head.startswith(_MARK):
        raise Damaged("存下的文件损坏了，打不开")
    ciphers = [_cipher(key, head[len(_MARK) :]) for key in keys]
    count, piece = 0, await asyncio.to_thread(_exactly, read, PIECE + _TAG)
    while True:
        following = await asyncio.to_thread(_exactly, read, PIECE + _TAG)
        cipher, opened = _opened(ciphers, piece, _nonce(count, not following), name.encode())
        ciphers = [cipher]
        yield opened
        if not following:
            return
        count, piece = count + 1, following


def _opened(ciphers: Sequence[AESGCM], piece: bytes, nonce: bytes, name: bytes) -> tuple[AESGCM, bytes]:
    for cipher in ciphers:
        try:
            return cipher, cipher.decrypt(nonce, piece, name)
        except InvalidTag:
            continue
    raise Damaged("存下的文件打不开：它损坏了，或者 HOTLINE_PII_KEYS 里缺了当时的密钥")


def _cipher(key: bytes, salt: bytes) -> AESGCM:
    return AESGCM(HKDF(SHA256(), length=32, salt=salt, info=b"hotline file").derive(key))


def _nonce(count: int, last: bool) -> bytes:
    return (count << 8 | last).to_bytes(12, "big")


def _exactly(read: Callable[[int], bytes], size: int) -> bytes:
    """A network stream may give less than it was asked for before its end."""
    found = bytearray()
    while len(found) < size and (part := read(size - len(found))):
        found += part
    return bytes(found)
