"""The WeChat platform as seen from our webhook: signs and encrypts as it does, and reads the reply as strictly.

Written from the protocol with its own cryptography, so that it and the connector cannot share a mistake.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import itertools
import secrets
import time
import xml.etree.ElementTree as ET
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

import httpx
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

ACCOUNT = "gh_97417a04a28d"
LONGEST_TEXT = 2048
_LONGEST_ANSWER_SECONDS = 5.0


class Fault(AssertionError):
    """What would make the platform show 该公众号提供的服务出现故障 to the worker."""


@dataclass(frozen=True)
class Answer:
    """What came back. `text` is what the worker reads now; None when the body was `success` or empty."""

    status: int
    body: bytes
    seconds: float
    text: str | None = None
    query: Mapping[str, str] = field(default_factory=dict)


def sign(*parts: str) -> str:
    return hashlib.sha1("".join(sorted(parts)).encode(), usedforsecurity=False).hexdigest()


def encrypt(message: bytes, key: str, app_id: str) -> str:
    """AES as in the platform's documents; `key` is an EncodingAESKey."""
    raw = base64.b64decode(key + "=")
    content = secrets.token_bytes(16) + len(message).to_bytes(4, "big") + message + app_id.encode()
    fill = 32 - len(content) % 32
    encryptor = Cipher(algorithms.AES(raw), modes.CBC(raw[:16])).encryptor()
    return base64.b64encode(encryptor.update(content + bytes([fill]) * fill) + encryptor.finalize()).decode()


def decrypt(sealed: str, key: str, app_id: str) -> bytes:
    """Raises `Fault` when the platform could not read it."""
    raw = base64.b64decode(key + "=")
    decryptor = Cipher(algorithms.AES(raw), modes.CBC(raw[:16])).decryptor()
    content = decryptor.update(base64.b64decode(sealed)) + decryptor.finalize()
    content = content[: -content[-1]]
    length = int.from_bytes(content[16:20], "big")
    message, receiver = content[20 : 20 + length], content[20 + length :]
    if receiver != app_id.encode():
        raise Fault(f"sealed for {receiver!r}")
    return message


def xml(fields: Mapping[str, str | int]) -> bytes:
    """The nodes as the platform writes them: numbers bare, text in CDATA with control characters as they are."""
    nodes = (
        f"<{name}>{value}</{name}>"
        if isinstance(value, int)
        else f"<{name}><![CDATA[{value.replace(']]>', ']]]]><![CDATA[>')}]]></{name}>"
        for name, value in fields.items()
    )
    return f"<xml>{''.join(nodes)}</xml>".encode("utf-8", "surrogatepass")


class WeChatClient:
    """One official account at one webhook. `mode` is safe, compat or plain.

    `transferred` are the workers who were brought to the platform's own desk, with the colleague that was named.
    """

    def __init__(
        self,
        base_url: str,
        token: str,
        app_id: str,
        aes_key: str = "",
        mode: str = "safe",
        *,
        http: httpx.AsyncClient | None = None,
    ) -> None:
        self.url = base_url.rstrip("/") + "/webhooks/wechat"
        self.token = token
        self.app_id = app_id
        self.aes_key = aes_key
        self.mode = mode
        self.transferred: list[tuple[str, str]] = []
        self._http = http or httpx.AsyncClient(timeout=30, trust_env=False)
        self._numbers = itertools.count(int(time.time() * 1e6) * 1000)

    async def __aenter__(self) -> WeChatClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()

    def signed(self, openid: str = "", timestamp: int | None = None) -> dict[str, str]:
        """The query that goes with every request."""
        stamp, nonce = str(int(time.time()) if timestamp is None else timestamp), str(secrets.randbelow(10**9))
        query = {"signature": sign(self.token, stamp, nonce), "timestamp": stamp, "nonce": nonce}
        return query | ({"openid": openid} if openid else {})

    def sealed(self, message: bytes, openid: str, timestamp: int | None = None) -> tuple[bytes, dict[str, str]]:
        """Body and query for one message in this client's mode."""
        query = self.signed(openid, timestamp)
        if self.mode == "plain":
            return message, query
        cipher = encrypt(message, self.aes_key, self.app_id)
        query |= {
            "encrypt_type": "aes",
            "msg_signature": sign(self.token, query["timestamp"], query["nonce"], cipher),
        }
        envelope = f"<Encrypt><![CDATA[{cipher}]]></Encrypt></xml>".encode()
        if self.mode == "compat":
            return message.strip().removesuffix(b"</xml>") + envelope, query
        return f"<xml><ToUserName><![CDATA[{ACCOUNT}]]></ToUserName>".encode() + envelope, query

    async def raw(self, body: bytes, query: Mapping[str, str] | None = None, method: str = "POST") -> httpx.Response:
        """Exactly these bytes, with a valid plain signature when no query is given."""
        return await self._http.request(
            method, self.url, params=self.signed() if query is None else query, content=body
        )

    async def verify(self, echo: str | None = None) -> str:
        """The handshake of the platform's console; gives back what the webhook echoed."""
        sent = secrets.token_hex(8) if echo is None else echo
        response = await self._http.get(self.url, params=self.signed() | {"echostr": sent})
        if response.status_code != 200 or response.text != sent:
            raise Fault(f"handshake: HTTP {response.status_code}")
        return response.text

    async def deliver(self, fields: Mapping[str, str | int], times: int = 1) -> list[Answer]:
        """One message, delivered `times` at once and signed anew each time, as the platform repeats what is slow."""
        return list(await asyncio.gather(*(self._deliver(fields) for _ in range(times))))

    async def text(self, openid: str, content: str, msg_id: int | None = None, times: int = 1, **more: str) -> Answer:
        """A text message; with `times`, the answer to the last of the deliveries."""
        fields = self._fields(openid, "text") | {"Content": content, "MsgId": msg_id or next(self._numbers)} | more
        return (await self.deliver(fields, times))[-1]

    async def message(self, openid: str, kind: str, **nodes: str | int) -> Answer:
        """Any other kind: `message(openid, "image", MediaId=…, PicUrl=…)`."""
        return (await self.deliver(self._fields(openid, kind) | {"MsgId": next(self._numbers)} | nodes))[-1]

    async def event(self, openid: str, event: str, key: str = "", **nodes: str | int) -> Answer:
        return (await self.deliver(self._fields(openid, "event") | {"Event": event, "EventKey": key} | nodes))[-1]

    def _fields(self, openid: str, kind: str) -> dict[str, str | int]:
        return {"ToUserName": ACCOUNT, "FromUserName": openid, "CreateTime": int(time.time()), "MsgType": kind}

    async def _deliver(self, fields: Mapping[str, str | int]) -> Answer:
        openid = str(fields["FromUserName"])
        body, query = self.sealed(xml(fields), openid)
        begun = time.perf_counter()
        response = await self._http.post(self.url, params=query, content=body)
        seconds = time.perf_counter() - begun
        if seconds > _LONGEST_ANSWER_SECONDS:
            raise Fault(f"answered after {seconds:.1f} s")
        if response.status_code != 200:
            raise Fault(f"HTTP {response.status_code}: {response.text[:200]}")
        text = self.read(response.content, openid)
        return Answer(response.status_code, response.content, seconds, text, query)

    def read(self, body: bytes, openid: str) -> str | None:
        """The text in a passive reply, None for an acknowledgement. Raises `Fault` for what the platform rejects."""
        if body in (b"", b"success"):
            return None
        nodes = _nodes(body)
        if "Encrypt" in nodes:
            expected = sign(self.token, nodes["TimeStamp"], nodes["Nonce"], nodes["Encrypt"])
            if nodes["MsgSignature"] != expected:
                raise Fault("the reply is signed wrongly")
            nodes = _nodes(decrypt(nodes["Encrypt"], self.aes_key, self.app_id))
        elif self.mode == "safe":
            raise Fault("a plain reply in safe mode")
        if nodes["ToUserName"] != openid or not nodes["FromUserName"] or not nodes["CreateTime"].isdigit():
            raise Fault("the reply is addressed wrongly")
        if nodes["MsgType"] == "transfer_customer_service":
            self.transferred.append((openid, nodes["KfAccount"]))
            return None
        if nodes["MsgType"] != "text":
            raise Fault(f"the reply is of kind {nodes['MsgType']}")
        if not 0 < len(nodes["Content"].encode()) <= LONGEST_TEXT:
            raise Fault(f"{len(nodes['Content'].encode())} bytes of text")
        return nodes["Content"]


def _nodes(body: bytes) -> dict[str, str]:
    try:
        root = ET.fromstring(body)  # noqa: S314  # our own server's answer
    except ET.ParseError as error:
        raise Fault(f"not XML: {error}: {body[:80]!r}") from None
    if root.tag != "xml":
        raise Fault(f"<{root.tag}> instead of <xml>")
    return defaultdict(str, {node.tag: node.text or "" for node in root.iter()})
