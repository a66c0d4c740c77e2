"""What Telegram's refusals and silences mean for the message at hand."""

from __future__ import annotations

from datetime import timedelta

import httpx
import structlog
from telegram.error import BadRequest, Conflict, Forbidden, InvalidToken, NetworkError, RetryAfter, TelegramError

from connectors.base import SendError

log = structlog.get_logger(__name__)

_GONE = ("chat not found", "user not found", "peer_id_invalid", "user is deactivated")


def refusal(error: Exception) -> SendError:
    """What an error of the library means. Its own words are shown only where Telegram speaks of the message itself."""
    match error:
        case RetryAfter():
            wait = error.retry_after
            after = wait if isinstance(wait, timedelta) else timedelta(seconds=wait)
            return SendError("Telegram 要我们慢一点", retryable=True, hold=True, after=after, code=429)
        case Forbidden():
            return SendError("职工停用了机器人，或账号已注销", retryable=False, unreachable=True, code=403)
        case InvalidToken():
            reason = "Telegram 不认这个令牌，或接口地址不对（HOTLINE_TELEGRAM_TOKEN、HOTLINE_TELEGRAM_API_URL）"
            return SendError(reason, retryable=False, hold=True, alarm=True, code=401)
        case Conflict():
            return SendError("同一个机器人还有别的程序在取消息，或设了回调", retryable=True, hold=True, code=409)
        case BadRequest() if any(mark in error.message.lower() for mark in _GONE):
            return SendError("Telegram 找不到这位职工", retryable=False, unreachable=True, code=400)
        case BadRequest():
            return SendError(f"Telegram 拒绝了：{error.message[:120]}", retryable=False, hold=True, code=400)
        case TimeoutError():
            return SendError("Telegram 没有及时回应", retryable=True, hold=True)
        case NetworkError() if isinstance(error.__cause__, httpx.TransportError):
            reason = f"连不上 Telegram：{type(error.__cause__).__name__}"
            return SendError(reason, retryable=True, hold=True)
        case TelegramError():
            return SendError("Telegram 出了点问题", retryable=True, hold=True)
        case _:
            log.warning("telegram_call_failed", error=type(error).__name__)
            return SendError(f"发送没有成功：{type(error).__name__}", retryable=True, hold=True)
