"""WeCom's callbacks to one app's address, sealed with cryptography that is not the connector's own."""

from __future__ import annotations

import secrets
import time

import httpx

from tests.wechat_client import Fault, encrypt, sign
from tests.wecom_platform import ACCOUNT, WeComPlatform


class WeComClient:
    """The platform's callbacks to one app's address."""

    def __init__(self, base_url: str, token: str, corp_id: str, aes_key: str, http: httpx.AsyncClient) -> None:
        self.url = base_url.rstrip("/") + "/webhooks/wecom"
        self.token = token
        self.corp_id = corp_id
        self.aes_key = aes_key
        self._http = http

    def sealed(self, message: bytes, timestamp: int | None = None) -> tuple[str, dict[str, str]]:
        """The encrypted message and the query that goes with it."""
        stamp, nonce = str(int(time.time()) if timestamp is None else timestamp), secrets.token_hex(5)
        cipher = encrypt(message, self.aes_key, self.corp_id)
        return cipher, {"msg_signature": sign(self.token, stamp, nonce, cipher), "timestamp": stamp, "nonce": nonce}

    def callback(self, account: str, ticket: str, timestamp: int | None = None) -> tuple[bytes, dict[str, str]]:
        """Body and query of the news that something waits for `account`."""
        inner = (
            f"<xml><ToUserName><![CDATA[{self.corp_id}]]></ToUserName><CreateTime>{int(time.time())}</CreateTime>"
            "<MsgType><![CDATA[event]]></MsgType><Event><![CDATA[kf_msg_or_event]]></Event>"
            f"<Token><![CDATA[{ticket}]]></Token><OpenKfId><![CDATA[{account}]]></OpenKfId></xml>"
        )
        cipher, query = self.sealed(inner.encode(), timestamp)
        envelope = (
            f"<xml><ToUserName><![CDATA[{self.corp_id}]]></ToUserName><Encrypt><![CDATA[{cipher}]]></Encrypt>"
            "<AgentID><![CDATA[]]></AgentID></xml>"
        )
        return envelope.encode(), query

    async def verify(self) -> None:
        """The handshake of the platform's console: what is sealed has to come back in the clear."""
        word = secrets.token_hex(8)
        cipher, query = self.sealed(word.encode())
        answer = await self._http.get(self.url, params=query | {"echostr": cipher})
        if answer.status_code != 200 or answer.text != word:
            raise Fault(f"handshake: HTTP {answer.status_code} {answer.text[:80]}")

    async def ring(self, platform: WeComPlatform, account: str = ACCOUNT) -> float:
        """Say that something waits; how many seconds the acknowledgement took."""
        body, query = self.callback(account, platform.ticket())
        begun = time.perf_counter()
        answer = await self._http.post(self.url, params=query, content=body)
        if answer.status_code != 200 or answer.content not in (b"", b"success"):
            raise Fault(f"HTTP {answer.status_code}: {answer.text[:200]}")
        return time.perf_counter() - begun
