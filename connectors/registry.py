"""Which channels there are, and which of them are switched on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from connectors import telegram, wecom_staff
from connectors.abilities import Pager
from connectors.base import Connector, Tools
from connectors.settings import Section
from connectors.telegram import Telegram, TelegramSettings
from connectors.webchat import WebChat
from connectors.wechat import WeChat, WeChatSettings
from connectors.wecom import WeCom, WeComSettings


@dataclass(frozen=True, slots=True)
class Channel:
    """The section of the settings that switches a channel on (`configured()`), and what opens a connector with it.

    `pagers`: how staff are called over the same platform, where that is set; it may be without the channel.
    """

    section: type[Section]
    open: Callable[[Any, Tools], Connector]
    pagers: Callable[[Any, Tools], Sequence[Pager]] | None = None


CHANNELS: dict[str, Channel] = {
    WeChat.name: Channel(WeChatSettings, lambda section, tools: WeChat(section, tools.store, tools.http)),
    WeCom.name: Channel(
        WeComSettings, lambda section, tools: WeCom(section, tools.store, tools.http), pagers=wecom_staff.pagers
    ),
    Telegram.name: Channel(TelegramSettings, telegram.build),
}


def build(sections: Mapping[str, Any], tools: Tools) -> dict[str, Connector]:
    """The channels that are switched on, by name; `sections` are keyed in the same way. The web chat always is."""
    built: dict[str, Connector] = {WebChat.name: WebChat()}
    for name, channel in CHANNELS.items():
        section = sections.get(name)
        if section is not None and section.configured():
            built[name] = channel.open(section, tools)
    return built


def pagers(sections: Mapping[str, Any], tools: Tools) -> list[Pager]:
    """The ways to call staff outside the console that are switched on."""
    return [
        pager
        for name, channel in CHANNELS.items()
        if channel.pagers is not None and name in sections
        for pager in channel.pagers(sections[name], tools)
    ]
