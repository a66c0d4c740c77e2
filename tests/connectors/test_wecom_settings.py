"""The WeCom section of the settings: whole, empty, or refused by name."""

from __future__ import annotations

from typing import Any

import pytest

from connectors.wecom import WeComSettings
from tests.connectors.wecom_desk import CORP_ID, KEY, SECRET, TOKEN, section


def test_nothing_set_is_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CORP_ID", "SECRET", "TOKEN", "AES_KEY", "ROBOT_URL", "AGENT_ID", "SERVICERS"):
        monkeypatch.setenv(f"HOTLINE_WECOM_{name}", "")
    assert not WeComSettings().configured()
    assert not WeComSettings().calls_staff()


def test_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    values = {
        "CORP_ID": CORP_ID,
        "SECRET": SECRET,
        "TOKEN": TOKEN,
        "AES_KEY": f" {KEY}\n",
        "AGENT_ID": "1000002",
        "SERVICERS": "wang, li ,",
    }
    for name, value in values.items():
        monkeypatch.setenv(f"HOTLINE_WECOM_{name}", value)
    read = WeComSettings()
    assert read.configured()
    assert read.calls_staff()
    assert read.on_desk() == ["wang", "li"]
    assert read.api_url == "https://qyapi.weixin.qq.com"


def test_the_robot_stands_by_itself() -> None:
    alone = WeComSettings(robot_url="https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=k")  # type: ignore[arg-type]
    assert not alone.configured()
    assert alone.calls_staff()


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"corp_id": ""}, "CORP_ID"),
        ({"secret": ""}, "SECRET"),
        ({"token": ""}, "TOKEN"),
        ({"token": "two words"}, "TOKEN"),
        ({"aes_key": ""}, "AES_KEY"),
        ({"aes_key": KEY[:-1]}, "AES_KEY"),
        ({"agent_id": "app"}, "AGENT_ID"),
        ({"agent_id": "１２"}, "AGENT_ID"),
        ({"servicers": "王芳"}, "SERVICERS"),
        ({"servicers": "a|b"}, "SERVICERS"),
        ({"api_url": "qyapi.weixin.qq.com"}, "API_URL"),
        ({"robot_url": "ftp://x/y"}, "ROBOT_URL"),
        ({"robot_url": "http://x:port/"}, "ROBOT_URL"),
    ],
)
def test_half_set_or_malformed_refuses_and_names_the_variable(changes: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=f"HOTLINE_WECOM_{named}"):
        section(**changes)


@pytest.mark.parametrize("only", ["corp_id", "secret", "token", "aes_key", "agent_id", "servicers"])
def test_one_value_alone_is_half_set(only: str) -> None:
    values: dict[str, Any] = {only: "1" if only == "agent_id" else KEY}
    with pytest.raises(ValueError, match="HOTLINE_WECOM_"):
        WeComSettings(**values)


def test_secrets_stay_out_of_errors_and_of_what_is_printed() -> None:
    with pytest.raises(ValueError) as refused:
        section(secret="very-secret-value", aes_key="very-secret-value", agent_id="x", robot_url="robot-secret")
    assert "secret-value" not in str(refused.value)
    assert "robot-secret" not in str(refused.value)
    assert "very-secret-value" not in repr(section(secret="very-secret-value"))
