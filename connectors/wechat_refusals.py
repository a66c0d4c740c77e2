"""What an error code of the platform means for the message at hand: one table, and how it becomes a `SendError`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

import structlog

from connectors.base import SendError
from connectors.tencent import Refusal

log = structlog.get_logger(__name__)

TOKEN_REFUSED = frozenset({40001, 40014, 41001, 42001})
# The account may not push: it can only answer in the response until somebody has seen to its rights.
NO_RIGHTS = frozenset({48001, 48004, 50002})
MENU_MESSAGE_REFUSED = 40200
CONTENT_REFUSED = 45166
DAY_USED_UP = 45009
NO_MENU = 46003
MEDIA_GONE = 40007

_BEIJING = ZoneInfo("Asia/Shanghai")
# "invalid ip 1.2.3.4 ipv6 ::ffff:1.2.3.4, not in whitelist": the address that the platform saw us come from.
_IP = re.compile(r"\b\d{1,3}(?:\.\d{1,3}){3}\b")
_MINUTE = timedelta(minutes=1)


_TOKEN = Refusal("平台不认访问令牌", hold=True, alarm=True)
_CONFIG = Refusal("公众号的配置不对（AppID、密钥或 IP 白名单）", hold=True, alarm=True)
_RIGHTS = Refusal("公众号没有这项权限，只能被动回复", hold=True, alarm=True)
_MEDIA = Refusal("图片、语音或文件不能用")
_GONE = Refusal("职工没有关注或已拉黑公众号", unreachable=True)

_MENU_FAULTS = {
    40015: "菜单的类型不对",
    40016: "一级菜单最多 3 个",
    40017: "按钮的类型不对",
    40018: "一级菜单的名字太长",
    40019: "按钮的 key 太长",
    40020: "按钮的网址太长",
    40022: "菜单最多两级",
    40023: "每个一级菜单下最多 5 个按钮",
    40024: "二级按钮的类型不对",
    40025: "二级按钮的名字太长",
    40026: "二级按钮的 key 太长",
    40027: "二级按钮的网址太长",
    40054: "二级按钮的网址不对",
    40055: "按钮的网址不对",
    NO_MENU: "公众号还没有菜单",
}

# Tencent's global return codes, reactions as decided in this project: a refusal that time or the worker can undo holds
# the message, one that only a person can undo rings the alarm as well.
REFUSALS: Mapping[int, Refusal] = {
    -1: Refusal("平台繁忙", retryable=True),
    45011: Refusal("一分钟内发得太多", retryable=True, after=_MINUTE),
    **dict.fromkeys(TOKEN_REFUSED, _TOKEN),
    **dict.fromkeys((40013, 40125, 40164, 40243, 61004, 89503), _CONFIG),
    **dict.fromkeys(NO_RIGHTS, _RIGHTS),
    **dict.fromkeys((40004, MEDIA_GONE, 40009), _MEDIA),
    **dict.fromkeys((43004, 43019), _GONE),
    40003: Refusal("这个微信用户不属于本公众号"),
    MENU_MESSAGE_REFUSED: Refusal("这类公众号不能发菜单消息"),
    44004: Refusal("消息是空的"),
    45002: Refusal("消息太长"),
    CONTENT_REFUSED: Refusal("平台不接受消息里的链接"),
    47001: Refusal("平台读不懂我们的请求"),
    DAY_USED_UP: Refusal("今天的调用次数用完了，零点后再发", retryable=True, alarm=True),
    45015: Refusal("职工超过 48 小时没有来消息，或已取消关注", hold=True, spent=True),
    45047: Refusal("职工来消息后可发的条数已用完", hold=True, spent=True),
    # Typing notices only, and `typing` forgives everything.
    45072: Refusal("输入状态的命令不对"),
    45080: Refusal("职工 30 秒内没有来消息，不显示输入状态"),
    45081: Refusal("输入状态已经在显示"),
    # Notices outside the window.
    40037: Refusal("通知模板的编号不对", alarm=True),
    43101: Refusal("职工没有同意接收通知"),
    47003: Refusal("通知的内容和模板的栏目对不上", alarm=True),
    **{code: Refusal(f"菜单没有建成：{fault}") for code, fault in _MENU_FAULTS.items()},
}
# Never said to the worker, so nothing is lost by keeping it for the next contact.
_UNKNOWN = Refusal("平台拒绝了这条消息", hold=True)


def check(answer: Mapping[str, object]) -> None:
    """Raises the `SendError` that the answer's error code stands for."""
    code = answer.get("errcode", 0)
    if code == 0 or not isinstance(code, int):
        return
    refusal = REFUSALS.get(code, _UNKNOWN)
    reason, seen = refusal.reason, None
    if refusal is _CONFIG and (found := _IP.search(str(answer.get("errmsg", "")))):
        seen = found[0]
        reason = f"{reason}：请把 {seen} 加进公众平台的 IP 白名单"
    log.warning("wechat_refused", code=code, known=code in REFUSALS, **({"our_ip": seen} if seen else {}))
    raise SendError(
        f"{reason}（{code}）",
        retryable=refusal.retryable,
        hold=refusal.hold,
        unreachable=refusal.unreachable,
        alarm=refusal.alarm,
        spent=refusal.spent,
        after=refusal.after,
        code=code,
    )


def until_reset(now: datetime) -> timedelta:
    """How long until the platform counts the calls of a new day: midnight in Beijing and a minute more."""
    here = now.astimezone(_BEIJING)
    midnight = datetime.combine(here.date() + timedelta(days=1), time(), _BEIJING)
    return midnight - here + _MINUTE
