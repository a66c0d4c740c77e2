"""Options as WeChat can show them: a menu message, tappable links in a text, or plain numbers; whichever is allowed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from urllib.parse import quote

import structlog

from connectors.base import Option, SendError, Store
from connectors.pages import clean
from connectors.wechat_api import WeChatApi
from connectors.wechat_refusals import CONTENT_REFUSED, MENU_MESSAGE_REFUSED

log = structlog.get_logger(__name__)

_HINT = "（回复数字也行）"
# What an account may send changes when it is verified or moved: asked again after as long.
_REMEMBERED = timedelta(days=7)
_LINKS, _NUMBERS = "links", "numbers"


def as_links(options: Sequence[Option]) -> str:
    """Each option as a numbered link that sends its label when tapped; nothing when there are none."""
    return _below([_link(number, option) for number, option in enumerate(options, 1)])


def as_numbers(options: Sequence[Option]) -> str:
    return _below([f"{number}. {_label(option)}" for number, option in enumerate(options, 1)])


def head_of(text: str, options: Sequence[Option]) -> str | None:
    """The text above its options; None when the options do not stand at its end."""
    if options:
        for tail in (as_links(options), as_numbers(options)):
            if text.endswith(tail) and len(text) > len(tail):
                return text.removesuffix(tail)
    return None


class OptionForms:
    """Sends options in the best form that the account is allowed, which all processes remember together.

    `plain`: links were refused, numbers are all that is left.
    """

    def __init__(self, api: WeChatApi, store: Store, app_id: str) -> None:
        self.plain = False
        self._api = api
        self._store = store
        self._key = f"options:{app_id}"

    async def send(self, openid: str, head: str, options: Sequence[Option]) -> None:
        """Raises `SendError` when no form goes through."""
        form = await self._remembered()
        self.plain = form == _NUMBERS
        if form is None:
            items = [{"id": clean(option.id), "content": _label(option)} for option in options]
            try:
                await self._api.send(openid, "msgmenu", {"head_content": head, "list": items, "tail_content": ""})
            except SendError as error:
                if error.code != MENU_MESSAGE_REFUSED:
                    raise
                form = await self._remember(_LINKS)
            else:
                return
        if form == _LINKS:
            try:
                await self._api.send(openid, "text", {"content": head + as_links(options)})
            except SendError as error:
                if error.code not in (CONTENT_REFUSED, MENU_MESSAGE_REFUSED):
                    raise
                await self._remember(_NUMBERS)
                self.plain = True
            else:
                return
        await self._api.send(openid, "text", {"content": head + as_numbers(options)})

    async def _remembered(self) -> str | None:
        try:
            return await self._store.get(self._key)
        except Exception:
            # The send itself will say that the store is away.
            return None

    async def _remember(self, form: str) -> str:
        log.info("wechat_options_as", form=form)
        try:
            await self._store.set(self._key, form, ttl=_REMEMBERED)
        except Exception as error:
            log.warning("wechat_options_not_remembered", error=type(error).__name__)
        return form


def _below(lines: list[str]) -> str:
    return "\n".join(["", "", *lines, _HINT]) if lines else ""


def _label(option: Option) -> str:
    # Angle brackets would end a link; their full-width twins look the same to a reader.
    return " ".join(clean(option.label).split()).replace("<", "＜").replace(">", "＞")


def _link(number: int, option: Option) -> str:
    label = _label(option)
    target = f"weixin://bizmsgmenu?msgmenucontent={quote(label, safe='')}&msgmenuid={quote(clean(option.id), safe='')}"
    return f'<a href="{target}">{number}. {label}</a>'
