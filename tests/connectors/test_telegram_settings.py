"""The Telegram section: off, whole, or refused by name; by webhook or by polling."""

from __future__ import annotations

import httpx
import pytest
from pydantic import SecretStr, ValidationError

from bot.bell import Bell
from connectors.base import Tools
from connectors.telegram import TelegramPolling, TelegramSettings, build
from tests.connectors.telegram_bot import SECRET, section
from tests.telegram_platform import TOKEN


def test_nothing_filled_in_is_off() -> None:
    assert not TelegramSettings().configured()


def test_a_token_is_enough() -> None:
    found = TelegramSettings(token=SecretStr(TOKEN))
    assert found.configured()
    assert found.api_url == "https://api.telegram.org"


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"token": ""}, "HOTLINE_TELEGRAM_TOKEN"),
        ({"token": "", "secret": "", "proxy": "http://127.0.0.1:7890"}, "HOTLINE_TELEGRAM_TOKEN"),
        ({"token": "not a token"}, "HOTLINE_TELEGRAM_TOKEN"),
        ({"token": "bot987654321:AAE"}, "HOTLINE_TELEGRAM_TOKEN"),
        ({"token": "987654321:AA E"}, "HOTLINE_TELEGRAM_TOKEN"),
        ({"secret": "有中文"}, "HOTLINE_TELEGRAM_SECRET"),
        ({"secret": "a b"}, "HOTLINE_TELEGRAM_SECRET"),
        ({"secret": "a" * 257}, "HOTLINE_TELEGRAM_SECRET"),
        ({"api_url": "api.telegram.org"}, "HOTLINE_TELEGRAM_API_URL"),
        ({"api_url": "ftp://api.telegram.org"}, "HOTLINE_TELEGRAM_API_URL"),
        ({"api_url": "http:///"}, "HOTLINE_TELEGRAM_API_URL"),
        ({"proxy": "127.0.0.1:7890"}, "HOTLINE_TELEGRAM_PROXY"),
        ({"proxy": "socks5://127.0.0.1:7890"}, "HOTLINE_TELEGRAM_PROXY"),
    ],
)
def test_a_half_filled_section_names_the_variable_and_shows_no_secret(changes: dict[str, str], named: str) -> None:
    with pytest.raises(ValidationError) as caught:
        section(**changes)
    assert named in str(caught.value)
    assert TOKEN not in str(caught.value)
    assert SECRET not in str(caught.value)


def test_blanks_around_a_value_are_nobodys_intention() -> None:
    assert section(token=f" {TOKEN}\n").token.get_secret_value() == TOKEN


def test_no_secret_stands_in_what_is_printed() -> None:
    whole = section(proxy="http://union:p4ss@127.0.0.1:7890")
    for shown in (repr(whole), str(whole)):
        assert TOKEN not in shown
        assert SECRET not in shown
        assert "p4ss" not in shown


@pytest.mark.parametrize(
    ("secret", "public_url", "polls"),
    [
        (SECRET, "https://hotline.example.org", False),
        ("", "https://hotline.example.org", True),
        (SECRET, "", True),
        ("", "", True),
    ],
)
async def test_a_host_with_an_address_and_a_secret_is_called_others_ask(
    store: Bell, secret: str, public_url: str, polls: bool
) -> None:
    async with httpx.AsyncClient() as http:
        found = build(section(secret=secret), Tools(store, http, public_url))
    assert isinstance(found, TelegramPolling) is polls
    await found.close()
