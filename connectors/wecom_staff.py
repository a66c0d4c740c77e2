"""Calls to the duty staff by WeCom: the robot of their group, and a message of the app on their phones."""

from __future__ import annotations

import re
from collections.abc import Sequence

import httpx

from connectors.abilities import Notice
from connectors.base import SendError, Tools
from connectors.pages import clean, size
from connectors.wecom_answers import check, guarded, post_json, read
from connectors.wecom_api import WeComApi
from connectors.wecom_settings import WeComSettings

_MARKDOWN_BYTES, _TITLE_BYTES, _CARD_BYTES = 4096, 128, 512
_MARKUP = re.compile(r"[\[\]()<>*`_#>]")


class Robot:
    """The robot of a group: everybody in the group reads it."""

    name = "wecom-robot"

    def __init__(self, url: str, http: httpx.AsyncClient) -> None:
        self._url = url
        self._http = http

    async def page(self, notice: Notice) -> None:
        lines = [f"**{_plain(notice.title)}**", *(f"> {_plain(line)}" for line in notice.lines)]
        if notice.url:
            lines.append(f"[打开工单]({notice.url})")
        body = {"msgtype": "markdown", "markdown": {"content": _short("\n".join(lines), _MARKDOWN_BYTES)}}
        answer = read(await guarded("robot", post_json(self._http, self._url, body), 5.0))
        check(answer)


class AppMessage:
    """A message of the app, to the colleagues named, else to everybody who may see the app."""

    name = "wecom-app"

    def __init__(self, agent: int, people: Sequence[str], api: WeComApi) -> None:
        self._agent = agent
        self._to = "|".join(people) or "@all"
        self._api = api

    async def page(self, notice: Notice) -> None:
        body: dict[str, object] = {"touser": self._to, "agentid": self._agent}
        text = "\n".join(clean(line) for line in notice.lines)
        title = clean(notice.title)
        if notice.url:
            card = {
                "title": _short(title, _TITLE_BYTES),
                "description": _short(text, _CARD_BYTES),
                "url": notice.url,
                "btntxt": "打开工单",
            }
            body |= {"msgtype": "textcard", "textcard": card}
        else:
            body |= {"msgtype": "text", "text": {"content": _short(f"{title}\n{text}", 2048)}}
        answer = await self._api.call("message/send", body)
        if answer.get("invaliduser"):
            raise SendError("有值班同事的账号不在应用的可见范围里", retryable=False, alarm=True)


def pagers(settings: WeComSettings, tools: Tools) -> list[Robot | AppMessage]:
    """What the section switches on."""
    found: list[Robot | AppMessage] = []
    if url := settings.robot_url.get_secret_value():
        found.append(Robot(url, tools.http))
    if settings.agent_id:
        api = WeComApi(settings.api_url, settings.corp_id, settings.secret.get_secret_value(), tools.store, tools.http)
        found.append(AppMessage(int(settings.agent_id), settings.on_desk(), api))
    return found


def _plain(text: str) -> str:
    return _MARKUP.sub("", clean(text))


def _short(text: str, limit: int) -> str:
    """At most `limit` bytes, cut between characters."""
    return text if size(text) <= limit else text.encode()[: limit - 3].decode("utf-8", "ignore") + "…"
