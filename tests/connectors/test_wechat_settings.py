from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic_settings import BaseSettings

from connectors.wechat import WeChatSettings
from tests.connectors.account import APP_ID, KEY, OTHER_KEY, TOKEN, section


def test_nothing_set_is_switched_off() -> None:
    assert not WeChatSettings().configured()


def test_empty_variables_are_nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TOKEN", "APP_ID", "APP_SECRET", "AES_KEY", "AES_KEY_PREVIOUS", "MODE", "PASSIVE_ONLY"):
        monkeypatch.setenv(f"HOTLINE_WECHAT_{name}", "")
    assert not WeChatSettings().configured()


def test_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "TOKEN": TOKEN,
        "APP_ID": APP_ID,
        "AES_KEY": f" {KEY}\n",
        "MODE": "compat",
        "PASSIVE_ONLY": "true",
        "API_URL": "http://127.0.0.1:9310",
        "FRESHNESS": "0",
    }.items():
        monkeypatch.setenv(f"HOTLINE_WECHAT_{name}", value)
    read = WeChatSettings()
    assert read.configured()
    assert read.passive_only
    assert (read.mode, read.freshness, read.api_url) == ("compat", 0, "http://127.0.0.1:9310")
    assert read.aes_key.get_secret_value() == KEY


def test_read_from_the_file_that_comes_with_an_installation() -> None:
    lines = [f"HOTLINE_WECHAT_TOKEN={TOKEN}", f'HOTLINE_WECHAT_APP_ID="{APP_ID}"', "HOTLINE_WECHAT_APP_SECRET=s3cret"]
    Path(".env").write_text("\n".join([*lines, f"HOTLINE_WECHAT_AES_KEY={KEY}", "HOTLINE_WECHAT_AES_KEY_PREVIOUS="]))
    section: type[BaseSettings] = WeChatSettings
    found = section(_env_file=".env")
    assert isinstance(found, WeChatSettings)
    assert found.configured()


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"token": ""}, ["HOTLINE_WECHAT_TOKEN"]),
        ({"token": "   "}, ["HOTLINE_WECHAT_TOKEN"]),
        ({"token": "two words"}, ["HOTLINE_WECHAT_TOKEN"]),
        ({"app_id": ""}, ["HOTLINE_WECHAT_APP_ID"]),
        ({"token": "", "app_id": ""}, ["HOTLINE_WECHAT_TOKEN", "HOTLINE_WECHAT_APP_ID"]),
        ({"app_secret": ""}, ["HOTLINE_WECHAT_APP_SECRET", "HOTLINE_WECHAT_PASSIVE_ONLY"]),
        ({"aes_key": ""}, ["HOTLINE_WECHAT_AES_KEY"]),
        ({"aes_key": "", "mode": "compat"}, ["HOTLINE_WECHAT_AES_KEY"]),
        ({"aes_key": KEY[:-1]}, ["HOTLINE_WECHAT_AES_KEY", "42"]),
        ({"aes_key": KEY + "="}, ["HOTLINE_WECHAT_AES_KEY", "44"]),
        ({"aes_key": "密" * 43}, ["HOTLINE_WECHAT_AES_KEY"]),
        ({"aes_key": "x", "mode": "plain"}, ["HOTLINE_WECHAT_AES_KEY"]),
        ({"aes_key_previous": "short"}, ["HOTLINE_WECHAT_AES_KEY_PREVIOUS"]),
        ({"mode": "secure"}, ["HOTLINE_WECHAT_MODE"]),
        ({"freshness": "-1"}, ["HOTLINE_WECHAT_FRESHNESS"]),
        ({"passive_only": "maybe"}, ["HOTLINE_WECHAT_PASSIVE_ONLY"]),
        ({"api_url": "api.weixin.qq.com"}, ["HOTLINE_WECHAT_API_URL"]),
        ({"api_url": "ftp://api.weixin.qq.com"}, ["HOTLINE_WECHAT_API_URL"]),
    ],
)
def test_half_set_or_malformed_refuses_and_names_the_variable(changes: dict[str, Any], named: list[str]) -> None:
    with pytest.raises(ValueError) as refused:
        section(**changes)
    for name in named:
        assert name in str(refused.value)


@pytest.mark.parametrize("only", ["token", "app_id", "app_secret", "aes_key", "aes_key_previous"])
def test_one_value_alone_is_half_set(only: str) -> None:
    values: dict[str, Any] = {only: KEY}
    with pytest.raises(ValueError, match="HOTLINE_WECHAT_"):
        WeChatSettings(**values)


def test_what_a_mode_does_not_need_may_be_left_out() -> None:
    assert section(aes_key="", mode="plain").configured()
    assert section(app_secret="", passive_only=True).configured()
    assert section(aes_key_previous=OTHER_KEY).configured()


def test_secrets_stay_out_of_errors_and_of_what_is_printed() -> None:
    secret = "very-secret-value"
    with pytest.raises(ValueError) as refused:
        section(app_secret=secret, aes_key=secret, mode="wrong", token="tokentoken")
    assert secret not in str(refused.value)
    assert "tokentoken" not in str(refused.value)
    assert secret not in repr(section(app_secret=secret))
