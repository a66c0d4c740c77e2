"""Speech to text by a service with OpenAI's interface: what was said, or why we do not know."""

from __future__ import annotations

import asyncio
import functools
import json
import ssl

import httpx
import structlog

from bot.filetypes import ENDINGS
from bot.settings import Settings
from connectors.pages import clean

log = structlog.get_logger(__name__)

# What several minutes of speech make; more is no transcript.
_ANSWER_CAP = 256 * 1024
LONGEST = 2000


class NotHeard(Exception):
    """`reason` is for staff. `retryable`: the service may hear it at the next try."""

    def __init__(self, reason: str, *, retryable: bool) -> None:
        super().__init__(reason)
        self.reason = reason
        self.retryable = retryable


async def transcribe(settings: Settings, voice: bytes, content_type: str) -> str:
    """POST the recording as it is to `HOTLINE_ASR_URL`/audio/transcriptions; the words, clean and not empty.

    Raises `NotHeard`, never anything else, within `HOTLINE_ASR_SECONDS`.
    """
    key = settings.asr_key.get_secret_value()
    request = httpx.Request(
        "POST",
        f"{settings.asr_url}/audio/transcriptions",
        headers={"Authorization": f"Bearer {key}"} if key else {},
        data={"model": settings.asr_model, "language": "zh", "response_format": "json"},
        # The service goes by the ending.
        files={"file": (f"voice.{ENDINGS[content_type]}", voice, content_type)},
    )
    try:
        async with httpx.AsyncClient(verify=await asyncio.to_thread(_tls)) as http:
            status, body = await _answer(http, request, settings.asr_seconds)
    except TimeoutError:
        raise NotHeard("语音转写没有及时回应", retryable=True) from None
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise NotHeard(f"连不上语音转写：{type(error).__name__}", retryable=True) from None
    if status != httpx.codes.OK:
        log.warning("asr_refused", status=status)
        raise NotHeard(f"语音转写回应 HTTP {status}", retryable=status >= 500 or status in {408, 409, 429})
    return _words(body)


@functools.cache
def _tls() -> ssl.SSLContext:
    """Reading all the certificates takes a while: once, and not on the event loop."""
    return httpx.create_ssl_context()


async def _answer(http: httpx.AsyncClient, request: httpx.Request, seconds: float) -> tuple[int, bytes]:
    body = bytearray()
    async with asyncio.timeout(seconds):
        response = await http.send(request, stream=True)
        try:
            async for part in response.aiter_bytes():
                body += part
                if len(body) > _ANSWER_CAP:
                    raise NotHeard("语音转写的回应读不懂", retryable=False)
        finally:
            await response.aclose()
    return response.status_code, bytes(body)


def _words(body: bytes) -> str:
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        answer = None
    said = answer.get("text") if isinstance(answer, dict) else None
    if not isinstance(said, str):
        raise NotHeard("语音转写的回应读不懂", retryable=False)
    words = clean(said)[:LONGEST]
    if not any(sign.isalnum() for sign in words):
        raise NotHeard("没有听出话来", retryable=False)
    return words
