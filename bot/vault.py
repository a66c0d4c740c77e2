"""Where workers' files are kept: a folder or an S3-compatible store; what is written there is sealed before."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import functools
import os
import re
import secrets
import shutil
import time
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Iterator
from pathlib import Path
from typing import BinaryIO, Protocol
from urllib.parse import urlsplit

import urllib3
from minio import Minio
from minio.error import MinioException, S3Error

from bot.errors import NotFound, Unavailable
from bot.seal import Sealer, unsealed
from bot.settings import Settings

_NAME = re.compile(r"[0-9a-f]{32}")
# Below this the database has to fear for its own writes.
_SPARE_BYTES = 256 * 1024 * 1024
_DRAFT_LASTS = 24 * 3600.0


class Vault(Protocol):
    """Raises `Unavailable` when the storage is away or full, `NotFound` for a file that it does not have."""

    async def put(self, name: str, pieces: AsyncIterable[bytes]) -> int:
        """Seal and keep; returns the size. `name` is 32 hex digits. When `pieces` raises, nothing is kept."""
        ...

    def get(self, name: str) -> AsyncGenerator[bytes, None]:
        """The file in pieces, two of them in memory at most. Raises `Damaged` too."""
        ...

    async def drop(self, name: str) -> None:
        """Forget the file; one that is not there is no error."""
        ...

    async def tidy(self) -> None:
        """Throw away what was begun and never finished, because a process died."""
        ...


@functools.cache
def vault_of(settings: Settings) -> Vault:
    """S3 when it is set, else the folder `media` beside the database."""
    keys = [base64.urlsafe_b64decode(key) for key in settings.fernet_keys()]
    root = settings.data_dir / "media"
    return Bucket(settings, root / "drafts", keys) if settings.s3_url else Folder(root, keys)


class Folder:
    """Files beside the database, spread over subfolders by the end of their names."""

    def __init__(self, root: Path, keys: list[bytes]) -> None:
        self._root, self._drafts, self._keys = root, root / "drafts", keys

    async def put(self, name: str, pieces: AsyncIterable[bytes]) -> int:
        place = self._place(name)
        async with _drafted(self._drafts, self._keys[0], name, pieces) as (draft, size):
            await asyncio.to_thread(_move, draft, place)
        return size

    async def get(self, name: str) -> AsyncGenerator[bytes, None]:
        try:
            file = await asyncio.to_thread(self._place(name).open, "rb")
        except FileNotFoundError:
            raise NotFound("这个文件已经不在了") from None
        with file:
            async for piece in unsealed(file.read, self._keys, name):
                yield piece

    async def drop(self, name: str) -> None:
        await asyncio.to_thread(self._place(name).unlink, missing_ok=True)

    async def tidy(self) -> None:
        await asyncio.to_thread(_tidy, self._drafts)

    def _place(self, name: str) -> Path:
        return self._root / _checked(name)[-2:] / name


class Bucket:
    """A bucket of an S3-compatible store; a draft lies sealed in the data folder until it is across."""

    def __init__(self, settings: Settings, drafts: Path, keys: list[bytes]) -> None:
        address = urlsplit(settings.s3_url)
        self._drafts, self._keys, self._bucket = drafts, keys, settings.s3_bucket
        self._client = Minio(
            address.netloc,
            access_key=settings.s3_key,
            secret_key=settings.s3_secret.get_secret_value(),
            secure=address.scheme == "https",
            http_client=urllib3.PoolManager(
                timeout=urllib3.Timeout(connect=5, read=30), retries=urllib3.Retry(total=1, backoff_factor=0.2)
            ),
        )

    async def put(self, name: str, pieces: AsyncIterable[bytes]) -> int:
        where = _checked(name)
        async with _drafted(self._drafts, self._keys[0], name, pieces) as (draft, size):
            with _reached():
                await asyncio.to_thread(self._client.fput_object, self._bucket, where, str(draft))
        return size

    async def get(self, name: str) -> AsyncGenerator[bytes, None]:
        with _reached():
            response = await asyncio.to_thread(self._client.get_object, self._bucket, _checked(name))
            try:
                async for piece in unsealed(response.read, self._keys, name):
                    yield piece
            finally:
                response.close()
                response.release_conn()

    async def drop(self, name: str) -> None:
        with _reached():
            await asyncio.to_thread(self._client.remove_object, self._bucket, _checked(name))

    async def tidy(self) -> None:
        await asyncio.to_thread(_tidy, self._drafts)


def _checked(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise NotFound("没有这个文件")
    return name


@contextlib.asynccontextmanager
async def _drafted(
    folder: Path, key: bytes, name: str, pieces: AsyncIterable[bytes]
) -> AsyncIterator[tuple[Path, int]]:
    """The sealed file, whole and on the disk, and the size of what is in it; gone when the block ends."""
    draft, sealer, size = folder / f"{name}.{secrets.token_hex(4)}", Sealer(key, name), 0
    file = await asyncio.to_thread(_begin, draft)
    try:
        with file:
            async for piece in pieces:
                size += len(piece)
                await asyncio.to_thread(_write, file, sealer.add(piece))
            await asyncio.to_thread(_write, file, sealer.end(), last=True)
        yield draft, size
    finally:
        await asyncio.to_thread(draft.unlink, missing_ok=True)


def _begin(draft: Path) -> BinaryIO:
    with _room():
        draft.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if shutil.disk_usage(draft.parent).free < _SPARE_BYTES:
            raise OSError("too little space")
        draft.touch(mode=0o600)
        return draft.open("wb")


def _write(file: BinaryIO, sealed: bytes, *, last: bool = False) -> None:
    with _room():
        file.write(sealed)
        if last:
            file.flush()
            os.fsync(file.fileno())


def _move(draft: Path, place: Path) -> None:
    with _room():
        place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        draft.replace(place)


def _tidy(drafts: Path) -> None:
    for draft in drafts.glob("*"):
        with contextlib.suppress(OSError):
            if draft.stat().st_mtime < time.time() - _DRAFT_LASTS:
                draft.unlink()


@contextlib.contextmanager
def _room() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise Unavailable(f"文件存不下（HOTLINE_DATA_DIR 的磁盘）：{error.strerror or error}") from error


@contextlib.contextmanager
def _reached() -> Iterator[None]:
    try:
        yield
    except S3Error as error:
        if error.code == "NoSuchKey":
            raise NotFound("这个文件已经不在了") from None
        raise Unavailable(f"对象存储拒绝了（HOTLINE_S3_URL、_BUCKET、_KEY）：{error.code}") from error
    except (MinioException, urllib3.exceptions.HTTPError, OSError) as error:
        raise Unavailable(f"对象存储没有回应（HOTLINE_S3_URL）：{type(error).__name__}") from error
