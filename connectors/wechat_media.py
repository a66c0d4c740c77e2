"""Pictures, voices, videos and files stay at the platform for three days: how they are found and fetched."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote, urlsplit

import httpx

from connectors.abilities import Media
from connectors.base import Inbound, SendError
from connectors.wechat_api import WeChatApi
from connectors.wechat_refusals import MEDIA_GONE

_GET = "/cgi-bin/media/get"
# Pictures also lie on the platform's picture servers; no other address in a message is ever called.
_PICTURES = (".qpic.cn", ".qlogo.cn")
_NAME = re.compile(r"filename\*?=(?:UTF-8'')?\"?([^\";]+)", re.IGNORECASE)
_LONGEST_NAME = 200


def source_of(inbound: Inbound) -> Mapping[str, Any] | None:
    """What is needed to fetch the file of this message; None when it brought none.

    Of a voice the clearer recording comes first; a picture's address helps where its id is of no use.
    """
    payload = inbound.payload
    ids = [payload[name] for name in ("media_id_16k", "media_id") if payload.get(name)]
    url = payload.get("url", "") if inbound.kind.value == "image" else ""
    if not ids and not _is_picture(url):
        return None
    return {"ids": ids, "url": url if _is_picture(url) else "", "name": payload.get("file_name", "")}


async def fetch(api: WeChatApi, source: Mapping[str, Any], limit: int) -> Media:
    """The file, from the first place that still has it. Raises `SendError`."""
    gone = SendError("平台上已经没有这个文件了", retryable=False, code=MEDIA_GONE)
    for media_id in source["ids"]:
        try:
            data, headers = await api.download(_GET, limit, media_id=media_id)
            if address := _address_of_video(data, headers):
                data, headers = await api.elsewhere(address, limit)
        except SendError as error:
            if error.code != MEDIA_GONE:
                raise
            gone = error
        else:
            return _media(data, headers, str(source.get("name", "")))
    if source["url"]:
        return _media(*await api.elsewhere(source["url"], limit), str(source.get("name", "")))
    raise gone


def _media(data: bytes, headers: httpx.Headers, name: str) -> Media:
    if not data:
        raise SendError("平台给的文件是空的", retryable=True)
    content_type = headers.get("content-type", "").partition(";")[0].strip().lower()
    told = _NAME.search(headers.get("content-disposition", ""))
    return Media(data, content_type, (name or (unquote(told[1]).strip() if told else ""))[:_LONGEST_NAME])


def _address_of_video(data: bytes, headers: httpx.Headers) -> str | None:
    """In place of a video the platform gives the address from which to fetch it."""
    if not headers.get("content-type", "").startswith(("application/json", "text/")):
        return None
    try:
        address = json.loads(data)["video_url"]
    except (ValueError, KeyError, TypeError):
        raise SendError("平台给的不是文件", retryable=True) from None
    if not isinstance(address, str) or urlsplit(address).scheme not in ("http", "https"):
        raise SendError("平台给的视频地址不对", retryable=False)
    return address


def _is_picture(url: object) -> bool:
    if not isinstance(url, str):
        return False
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and (parts.hostname or "").endswith(_PICTURES)
