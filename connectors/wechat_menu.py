"""The account's menu, the sites of its QR codes and its notice: read from one file that the policy desk keeps."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from connectors.base import SendError
from connectors.pages import size
from connectors.wechat_api import WeChatApi
from connectors.wechat_refusals import NO_MENU

PACKAGED = Path(__file__).parent / "wechat_menu.yaml"
SCENE = re.compile(r"[A-Za-z0-9_-]{1,64}")

_TOPS, _SUBS = 3, 5
# In bytes, as the platform counts; a key longer than this is refused for the whole menu.
_TOP_NAME, _SUB_NAME, _KEY, _URL = 16, 60, 128, 1024
_OTHER_TYPES = {
    "scancode_push",
    "scancode_waitmsg",
    "pic_sysphoto",
    "pic_photo_or_album",
    "pic_weixin",
    "location_select",
}
# What tells one button from another; the platform adds fields of its own.
_TOLD_BY = ("type", "name", "key", "url", "appid", "pagepath")

Button = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Guide:
    """`buttons` are as the platform wants them. `words` says what a click on a key means in the worker's words.

    `sites` are the places by the scene of their QR code. `notice` are the fields of the notice template.
    """

    buttons: Sequence[Button] = ()
    words: Mapping[str, str] = field(default_factory=dict)
    sites: Mapping[str, str] = field(default_factory=dict)
    notice: Mapping[str, str] = field(default_factory=dict)

    def topics(self) -> list[str]:
        """The topics that buttons lead to."""
        return [key.removeprefix("topic:") for key in self.words if key.startswith("topic:")]


def read(path: Path) -> Guide:
    """Raises `ValueError` with one line that says which button or site is wrong."""
    try:
        changed = path.stat().st_mtime_ns
    except OSError as error:
        raise ValueError(f"读不了 {path}：{error.strerror}") from None
    return _read(path, changed)


@functools.lru_cache(maxsize=8)
def _read(path: Path, changed: int) -> Guide:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"读不了 {path}：{type(error).__name__}") from None
    return parse(text)


def parse(text: str) -> Guide:
    """Raises `ValueError` as `read` does."""
    try:
        whole = yaml.safe_load(text) or {}
    except yaml.YAMLError as error:
        place = getattr(error, "problem_mark", None)
        raise ValueError(f"菜单文件不是 YAML{f'（第 {place.line + 1} 行）' if place else ''}") from None
    if not isinstance(whole, dict) or not whole.keys() <= {"menu", "sites", "notice"}:
        raise ValueError("菜单文件里只有 menu、sites、notice 三部分")
    words: dict[str, str] = {}
    tops = _list(whole.get("menu") or [], "menu")
    if len(tops) > _TOPS:
        raise ValueError(f"一级菜单最多 {_TOPS} 个，现在是 {len(tops)} 个")
    buttons = [_top(item, words) for item in tops]
    sites = _texts(whole.get("sites"), "sites")
    for scene in sites:
        if not SCENE.fullmatch(scene):
            raise ValueError(f"场景编号“{scene}”只能用字母、数字、-、_，最多 64 个")
    notice = whole.get("notice") or {}
    if not isinstance(notice, dict) or not notice.keys() <= {"fields"}:
        raise ValueError("notice 下面只有 fields")
    return Guide(buttons, words, sites, _texts(notice.get("fields"), "notice.fields"))


def _top(item: object, words: dict[str, str]) -> Button:
    given = _button(item, _TOP_NAME)
    if "buttons" not in given:
        return _leaf(given, words)
    subs = _list(given.pop("buttons"), given["name"])
    if len(subs) > _SUBS or not subs:
        raise ValueError(f"“{given['name']}”下面要有 1 到 {_SUBS} 个按钮，现在是 {len(subs)} 个")
    _all_used(given, {"name"})
    return {"name": given["name"], "sub_button": [_leaf(_button(sub, _SUB_NAME), words) for sub in subs]}


def _button(item: object, longest: int) -> dict[str, Any]:
    name = item.get("name") if isinstance(item, dict) else None
    if not isinstance(item, dict) or not isinstance(name, str) or not name.strip():
        raise ValueError(f"按钮没有名字：{str(item)[:40]}")
    if size(name) > longest:
        raise ValueError(f"按钮“{name}”的名字太长，最多 {longest // 3} 个字")
    return dict(item)


def _leaf(given: dict[str, Any], words: dict[str, str]) -> Button:
    name = given["name"]
    for key, value in given.items():
        if not isinstance(value, str) or not value.strip():
            raise ValueError(f"按钮“{name}”的 {key} 应是一行字")
    if "topic" in given:
        _all_used(given, {"name", "topic"})
        return _click(name, f"topic:{given['topic']}", name, words)
    if "say" in given:
        _all_used(given, {"name", "say"})
        return _click(name, given["say"], given["say"], words)
    if "appid" in given:
        _all_used(given, {"name", "appid", "page", "url"})
        if "page" not in given or "url" not in given:
            raise ValueError(f"小程序按钮“{name}”要写 appid、page 和 url（旧版微信打开 url）")
        return {"type": "miniprogram", "name": name, "appid": given["appid"], "pagepath": given["page"]} | _url(given)
    if "url" in given:
        _all_used(given, {"name", "url"})
        return {"type": "view", "name": name} | _url(given)
    if given.get("type") in _OTHER_TYPES:
        _all_used(given, {"name", "type", "key"})
        return {"type": given["type"], "name": name, "key": _key(name, given.get("key", given["type"]))}
    raise ValueError(f"按钮“{name}”要写 topic、say、url、buttons、type、appid 中的一样")


def _click(name: str, key: str, words_of: str, words: dict[str, str]) -> Button:
    words[_key(name, key)] = words_of
    return {"type": "click", "name": name, "key": key}


def _key(name: str, key: str) -> str:
    if size(key) > _KEY:
        raise ValueError(f"按钮“{name}”的内容太长，最多 {_KEY} 个字节")
    return key


def _url(given: dict[str, Any]) -> Button:
    url = given["url"]
    if not url.startswith(("https://", "http://")) or size(url) > _URL:
        raise ValueError(f"按钮“{given['name']}”的网址应以 http(s):// 开头，最多 {_URL} 个字节")
    return {"url": url}


def _all_used(given: dict[str, Any], known: set[str]) -> None:
    if unknown := sorted(map(str, given.keys() - known)):
        raise ValueError(f"按钮“{given['name']}”里不能同时写 {'、'.join(unknown)}")


def _list(found: object, where: str) -> list[Any]:
    if not isinstance(found, list):
        raise ValueError(f"{where} 应是一个列表")
    return found


def _texts(found: object, where: str) -> dict[str, str]:
    if found is None:
        return {}
    if not isinstance(found, dict) or not all(isinstance(value, str) and value.strip() for value in found.values()):
        raise ValueError(f"{where} 应是“编号: 文字”")
    return {str(key): value.strip() for key, value in found.items()}


async def differs(api: WeChatApi, guide: Guide) -> bool:
    """Whether the account shows another menu than the file says. Raises `SendError`."""
    try:
        shown = (await api.get("/cgi-bin/menu/get")).get("menu")
    except SendError as error:
        if error.code != NO_MENU:
            raise
        shown = None
    theirs = shown.get("button") if isinstance(shown, dict) else None
    return _plain(theirs or []) != _plain(guide.buttons)


async def publish(api: WeChatApi, guide: Guide) -> bool:
    """Make the account show the file's menu; False when it already did. Raises `SendError`."""
    if not await differs(api, guide):
        return False
    if guide.buttons:
        await api.post("/cgi-bin/menu/create", {"button": list(guide.buttons)})
    else:
        await api.get("/cgi-bin/menu/delete")
    return True


def _plain(buttons: object) -> list[Button]:
    if not isinstance(buttons, list | tuple):
        return []
    return [
        {name: button[name] for name in _TOLD_BY if button.get(name)} | {"sub": _plain(button.get("sub_button") or [])}
        for button in buttons
        if isinstance(button, dict)
    ]


def with_site(text: str, scene: str, site: str) -> str:
    """The file with one more site, comments and all as they were. Raises `ValueError` when that cannot be done."""
    quoted = yaml.safe_dump(site, allow_unicode=True, default_style='"', width=10_000).strip()
    line = f'  "{scene}": {quoted}'
    if re.search(r"^sites:\s*(\{\s*\})?\s*$", text, re.M):
        text = re.sub(r"^sites:\s*(\{\s*\})?[ \t]*$", f"sites:\n{line}".replace("\\", r"\\"), text, count=1, flags=re.M)
    elif "sites:" not in text:
        text = f"{text.rstrip()}\n\nsites:\n{line}\n"
    if parse(text).sites.get(scene) != site:
        raise ValueError(f"菜单文件里写不进去，请自己在 sites 下面加一行：{line.strip()}")
    return text


async def make_code(api: WeChatApi, scene: str) -> tuple[str, str]:
    """A QR code that never expires, as (ticket for its picture, address it holds). Raises `SendError`."""
    asked = {"action_name": "QR_LIMIT_STR_SCENE", "action_info": {"scene": {"scene_str": scene}}}
    made = await api.post("/cgi-bin/qrcode/create", asked)
    ticket, url = made.get("ticket"), made.get("url", "")
    if not isinstance(ticket, str) or not ticket:
        raise SendError("平台没有给出二维码", retryable=True)
    return ticket, str(url)
