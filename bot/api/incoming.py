"""A form with a file, read as it comes in: never whole in memory, never on a disk in the open, never past its cap."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from fastapi import Request
from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect

from bot.api.forms import TooLarge
from bot.errors import Invalid

# What stands around the file: the other fields, and the lines between.
_ENVELOPE = 16 * 1024
_FIELD_CAP = 1000
# A telephone in a lift may fall silent for a while; one that stays silent is gone.
_SILENT_SECONDS = 30.0
_BROKEN = "文件没有传完整，请重新选一次"


class Form:
    """The parts of a `multipart/form-data` body with one file, in the field `file`.

    `fields` and `file_name` are complete when `pieces` has ended. Raises `Invalid` and `TooLarge`, in words for people.
    """

    def __init__(self, request: Request, limit: int) -> None:
        kind, options = parse_options_header(request.headers.get("content-type"))
        boundary = options.get(b"boundary", b"")
        if kind != b"multipart/form-data" or not 1 <= len(boundary) <= 200:
            raise Invalid(_BROKEN)
        length = request.headers.get("content-length", "")
        if length.isdecimal() and int(length) > limit + _ENVELOPE:
            raise TooLarge(_too_large(limit))
        self.fields: dict[str, str] = {}
        self.file_name = ""
        self._request, self._limit = request, limit
        self._headers: dict[bytes, bytes] = {}
        self._header, self._value, self._name = bytearray(), bytearray(), ""
        self._field, self._file = bytearray(), bytearray()
        self._seen: set[str] = set()
        self._ended = False
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._headers.clear,
                "on_header_field": lambda data, start, end: self._header.extend(data[start:end]),
                "on_header_value": lambda data, start, end: self._value.extend(data[start:end]),
                "on_header_end": self._header_ends,
                "on_headers_finished": self._part_begins,
                "on_part_data": self._part_goes_on,
                "on_part_end": self._part_ends,
                "on_end": self._all_ends,
            },
        )

    async def pieces(self) -> AsyncIterator[bytes]:
        """The file, as it comes in."""
        total = size = 0
        async for chunk in _chunks(self._request):
            total += len(chunk)
            try:
                self._parser.write(chunk)
            except MultipartParseError:
                raise Invalid(_BROKEN) from None
            size += len(self._file)
            if size > self._limit or total > self._limit + _ENVELOPE:
                raise TooLarge(_too_large(self._limit))
            if self._file:
                piece, self._file = bytes(self._file), bytearray()
                yield piece
        if not self._ended or "file" not in self._seen:
            raise Invalid(_BROKEN)
        if not size:
            raise Invalid("这个文件是空的，请重新选一次")

    def _header_ends(self) -> None:
        self._headers[bytes(self._header).lower()] = bytes(self._value)
        self._header.clear()
        self._value.clear()

    def _part_begins(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition"))
        self._name = options.get(b"name", b"").decode("utf-8", "replace")
        if not self._name or self._name in self._seen:
            raise Invalid(_BROKEN)
        self._seen.add(self._name)
        if self._name == "file":
            self.file_name = options.get(b"filename", b"").decode("utf-8", "replace")[:300]

    def _part_goes_on(self, data: bytes, start: int, end: int) -> None:
        part = self._file if self._name == "file" else self._field
        part.extend(data[start:end])
        if len(self._field) > _FIELD_CAP:
            raise Invalid(_BROKEN)

    def _part_ends(self) -> None:
        if self._name != "file":
            self.fields[self._name] = self._field.decode("utf-8", "replace")
            self._field.clear()

    def _all_ends(self) -> None:
        self._ended = True


def _too_large(limit: int) -> str:
    return f"文件太大了，一个最多 {limit // (1024 * 1024)} MB。可以拍清楚一点、短一点再发"


async def _chunks(request: Request) -> AsyncIterator[bytes]:
    stream = request.stream()
    while True:
        try:
            async with asyncio.timeout(_SILENT_SECONDS):
                chunk = await anext(stream, None)
        except (TimeoutError, ClientDisconnect):
            raise Invalid(_BROKEN) from None
        if chunk is None:
            return
        yield chunk
