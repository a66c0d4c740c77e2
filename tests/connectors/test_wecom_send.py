"""Replies over WeCom: states, codes, menus, quotas, and refusals."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.bell import Bell
from connectors.base import Option, Outbound, SendError
from connectors.wecom import WeCom
from tests.connectors.wecom_desk import ADDRESS, CORP_ID, CUSTOMER, SECRET, YES_NO, connector, office, reply
from tests.wecom_platform import ACCOUNT, WeComPlatform, serving


@pytest.fixture(scope="module")
async def served() -> AsyncIterator[WeComPlatform]:
    platform = WeComPlatform(CORP_ID, SECRET)
    async with serving(platform):
        yield platform


@pytest.fixture
def platform(served: WeComPlatform) -> WeComPlatform:
    """A customer has just written."""
    served.reset()
    served.says(CUSTOMER, "在吗")
    return served


@pytest.fixture
async def wecom(platform: WeComPlatform, store: Bell) -> AsyncIterator[WeCom]:
    async with office(platform, store) as found:
        yield found


async def say(wecom: WeCom, message: Outbound) -> None:
    await wecom.send(message, wecom.render(message))


async def failure(wecom: WeCom, message: Outbound | None = None) -> SendError:
    with pytest.raises(SendError) as caught:
        await say(wecom, message or reply())
    return caught.value


def flags(error: SendError) -> set[str]:
    return {name for name in ("retryable", "hold", "unreachable", "alarm") if getattr(error, name)}


async def test_a_message_arrives_as_written(wecom: WeCom, platform: WeComPlatform) -> None:
    await say(wecom, reply(text="“您好”😭\n</xml>\x08"))
    assert platform.texts(CUSTOMER) == ["“您好”😭\n</xml>"]


async def test_the_key_is_ours_and_the_same_on_every_try(wecom: WeCom, platform: WeComPlatform) -> None:
    identity = "019345ab-1234-7abc-8def-0123456789ab"
    await say(wecom, reply(identity))
    await say(wecom, reply(identity))
    first, second = [asked["msgid"] for path, asked in platform.asked if path == "kf/send_msg"]
    assert first == second
    assert platform.texts(CUSTOMER) == ["您好"]


async def test_a_reply_that_goes_joined_with_another_on_its_second_try_takes_the_other_along(
    wecom: WeCom, platform: WeComPlatform
) -> None:
    identity = "019345ab-1234-7abc-8def-0123456789ab"
    platform.fail("kf/send_msg", b"after")
    assert (await failure(wecom, reply(identity, "一"))).retryable
    await say(wecom, reply(identity, "一\n\n二"))
    assert any("二" in text for text in platform.texts(CUSTOMER))


@pytest.mark.parametrize("identity", ["x" * 40, "有中文", "a.b", ""])
async def test_any_id_makes_a_key_that_the_platform_takes(wecom: WeCom, platform: WeComPlatform, identity: str) -> None:
    await say(wecom, reply(identity))
    assert platform.texts(CUSTOMER) == ["您好"]


@pytest.mark.parametrize("refuses", [False, True])
async def test_a_try_that_arrived_although_we_never_heard_is_not_repeated(
    wecom: WeCom, platform: WeComPlatform, refuses: bool
) -> None:
    platform.refuses_duplicates = refuses
    platform.fail("kf/send_msg", b"after")
    assert (await failure(wecom)).retryable
    await say(wecom, reply())
    assert platform.texts(CUSTOMER) == ["您好"]


async def test_options_are_a_menu_and_a_tap_brings_their_id(wecom: WeCom, platform: WeComPlatform) -> None:
    await say(wecom, reply(text="要转人工吗？", options=YES_NO))
    [shown] = platform.shown[CUSTOMER]
    assert (shown.text, shown.options) == ("要转人工吗？", [("yes", "是"), ("no", "不是")])


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("长" * 342, YES_NO),
        ("十一个", [Option(f"o{n}", f"第{n}个") for n in range(11)]),
        ("长 id", [Option("x" * 65, "是")]),
        ("没有 id", [Option("", "是")]),
        ("长选项", [Option("yes", "是" * 43)]),
    ],
)
async def test_what_no_menu_can_hold_is_numbered_text(
    wecom: WeCom, platform: WeComPlatform, text: str, options: list[Option]
) -> None:
    await say(wecom, reply(text=text, options=options))
    [shown] = platform.shown[CUSTOMER]
    assert shown.options == []
    assert shown.text.startswith(f"{text}\n\n1. {options[0].label}")
    assert "数字" in shown.text


async def test_the_largest_menu_is_a_menu(wecom: WeCom, platform: WeComPlatform) -> None:
    options = [Option("i" * 63 + str(n), "签" * 42) for n in range(10)]
    await say(wecom, reply(text="长" * 341, options=options))
    assert len(platform.shown[CUSTOMER][0].options) == 10


async def test_a_page_that_does_not_end_with_the_options_is_text(wecom: WeCom, platform: WeComPlatform) -> None:
    await wecom.send(reply(options=YES_NO), "第一页\n……回复“更多”看下一段")
    assert platform.shown[CUSTOMER][0].options == []


@given(st.text(max_size=400), st.lists(st.builds(Option, st.text(max_size=80), st.text(max_size=60)), max_size=12))
def test_whatever_is_rendered_keeps_text_and_labels(text: str, options: list[Option]) -> None:
    shown = connector().render(reply(text=text, options=options))
    for number in range(1, len(options) + 1):
        assert f"\n{number}. " in shown


@pytest.mark.parametrize("state", [2, 3, 4])
async def test_the_bot_never_speaks_while_the_session_is_not_its_own(
    wecom: WeCom, platform: WeComPlatform, state: int
) -> None:
    platform.sessions[ACCOUNT, CUSTOMER].state = state
    bots = await failure(wecom, reply(answers={"msgtype": "text"}))
    assert flags(bots) == set(), "what the bot had to say is out of place afterwards"
    staffs = await failure(wecom, reply())
    assert flags(staffs) == {"hold"}, "a colleague's words wait for the worker"
    assert platform.calls["kf/send_msg"] == 0


@pytest.mark.parametrize("state", [0, 1])
async def test_new_sessions_and_the_bots_own_are_spoken_in(wecom: WeCom, platform: WeComPlatform, state: int) -> None:
    platform.sessions[ACCOUNT, CUSTOMER].state = state
    await say(wecom, reply())
    await say(wecom, reply("second"))
    assert platform.calls["kf/service_state/get"] == 1, "asked once for one exchange"


async def test_a_state_that_changed_behind_our_back_is_asked_anew(wecom: WeCom, platform: WeComPlatform) -> None:
    await say(wecom, reply())
    platform.sessions[ACCOUNT, CUSTOMER].state = 3
    assert (await failure(wecom, reply("2"))).code == 95018
    assert (await failure(wecom, reply("3"))).code == 95018
    assert platform.calls["kf/send_msg"] == 2, "told once, we ask before we speak"


async def test_news_of_a_change_is_heeded_at_once(wecom: WeCom, platform: WeComPlatform) -> None:
    await say(wecom, reply())
    platform.takes(CUSTOMER, "wang")
    await wecom.pull(ACCOUNT, "", platform.ticket())
    assert (await failure(wecom, reply("2"))).code == 95018
    assert platform.calls["kf/send_msg"] == 1


async def test_a_state_nobody_knows_is_no_licence(wecom: WeCom, platform: WeComPlatform) -> None:
    platform.fail("kf/service_state/get", b'{"errcode":0,"service_state":7}', b'{"errcode":0}')
    for _ in range(2):
        assert (await failure(wecom)).retryable
    assert platform.calls["kf/send_msg"] == 0


async def test_a_greeting_goes_by_its_code(wecom: WeCom, platform: WeComPlatform) -> None:
    code = platform.enters("wmNew")
    welcome = Outbound("w", f"{ACCOUNT}:wmNew", "你好", answers={"code": code, "code_until": time.time() + 20})
    await say(wecom, welcome)
    assert [shown.by_code for shown in platform.shown["wmNew"]] == [True]
    await say(wecom, welcome)
    assert platform.texts("wmNew") == ["你好"], "the same try twice is one greeting"


async def test_a_code_that_ran_out_or_is_refused_falls_back_to_a_plain_message(
    wecom: WeCom, platform: WeComPlatform
) -> None:
    await say(wecom, reply("1", answers={"code": "gone", "code_until": time.time() - 1}))
    assert platform.calls["kf/send_msg_on_event"] == 0
    await say(wecom, reply("2", answers={"code": "wrong", "code_until": time.time() + 20}))
    assert [shown.by_code for shown in platform.shown[CUSTOMER]] == [False, False]


async def test_a_greeting_that_nobody_may_send_any_more_does_not_wait(wecom: WeCom, platform: WeComPlatform) -> None:
    late = Outbound("w", f"{ACCOUNT}:wmNever", "你好", answers={"code": "gone", "code_until": time.time() - 1})
    assert flags(await failure(wecom, late)) == set()


async def test_a_code_on_a_bad_minute_is_tried_again(wecom: WeCom, platform: WeComPlatform) -> None:
    code = platform.ends(CUSTOMER)
    bye = reply("bye", "再见", answers={"code": code, "code_until": time.time() + 20})
    platform.fail("kf/send_msg_on_event", -1)
    assert (await failure(wecom, bye)).retryable
    await say(wecom, bye)
    assert platform.texts(CUSTOMER) == ["再见"]


async def test_five_may_follow_and_the_sixth_waits(wecom: WeCom, platform: WeComPlatform) -> None:
    for number in range(5):
        await say(wecom, reply(str(number)))
    error = await failure(wecom, reply("6"))
    assert (error.code, flags(error)) == (95001, {"hold"})
    platform.says(CUSTOMER, "还在吗")
    await say(wecom, reply("6"))
    assert len(platform.texts(CUSTOMER)) == 6


@pytest.mark.parametrize(
    ("codes", "expected"),
    [
        ((-1, 6000, 45009, 45033), {"retryable"}),
        ((40014, 42001, 41001), {"hold", "alarm"}),
        ((40001, 40013, 60020), {"hold", "alarm"}),
        ((48002, 60011, 95012, 95017), {"hold", "alarm"}),
        ((95000, 95004), {"hold", "alarm"}),
        ((95001, 95002, 95013, 95018), {"hold"}),
        ((40096,), {"unreachable"}),
        ((40007, 40058, 44004, 45002, 47001, 95007, 95014, 95016), set()),
        ((99999,), {"hold"}),
    ],
)
async def test_each_code_has_its_reaction(
    wecom: WeCom, platform: WeComPlatform, codes: tuple[int, ...], expected: set[str]
) -> None:
    for code in codes:
        platform.fail("kf/send_msg", code, code)
        error = await failure(wecom)
        assert flags(error) == expected, code
        # A second dead token within the hour is an alarm before the platform is asked again.
        assert error.code in ((code, None) if code in (40014, 42001, 41001) else (code,))
        platform.forget_faults()


async def test_too_many_calls_wait_a_minute(wecom: WeCom, platform: WeComPlatform) -> None:
    platform.fail("kf/send_msg", 45009)
    assert (await failure(wecom)).after == timedelta(minutes=1)


async def test_the_address_that_is_not_trusted_is_named(wecom: WeCom, platform: WeComPlatform) -> None:
    platform.fail("kf/send_msg", 60020)
    assert "127.0.0.9" in (await failure(wecom)).reason


async def test_processes_that_start_together_fetch_one_token(platform: WeComPlatform, store: Bell) -> None:
    platform.delay = 0.02
    async with AsyncExitStack() as stack:
        desks = [await stack.enter_async_context(office(platform, store)) for _ in range(8)]
        await asyncio.gather(*(say(desk, reply(str(number))) for number, desk in enumerate(desks[:5])))
        await asyncio.gather(*(desk.queues() for desk in desks))
    assert platform.calls["gettoken"] == 1


@pytest.mark.parametrize("code", [40014, 42001])
async def test_a_dead_token_is_renewed_once_and_the_call_repeated_once(
    wecom: WeCom, platform: WeComPlatform, code: int
) -> None:
    await say(wecom, reply("1"))
    platform.expire()
    platform.fail("kf/send_msg", code)
    await say(wecom, reply("2"))
    assert platform.texts(CUSTOMER) == ["您好"] * 2
    assert platform.calls["gettoken"] == 2


async def test_tokens_refused_for_ever_end_in_an_alarm_and_few_calls(platform: WeComPlatform, store: Bell) -> None:
    platform.unheard_of_token = True
    async with AsyncExitStack() as stack:
        desks = [await stack.enter_async_context(office(platform, store)) for _ in range(8)]
        for _ in range(3):
            for error in await asyncio.gather(*(failure(desk) for desk in desks)):
                assert flags(error) == {"hold", "alarm"}
    assert platform.calls["gettoken"] <= 2 + 24
    assert platform.calls["kf/service_state/get"] <= 2 * 24


@pytest.mark.parametrize("code", [40001, 40013])
async def test_a_wrong_secret_or_corp_is_an_alarm(platform: WeComPlatform, store: Bell, code: int) -> None:
    wrong = {"secret": "wrong"} if code == 40001 else {"corp_id": "wwOther"}
    async with office(platform, store, **wrong) as wecom:
        error = await failure(wecom)
    assert (error.code, flags(error)) == (code, {"hold", "alarm"})


@pytest.mark.parametrize("path", ["gettoken", "kf/send_msg", "kf/service_state/get"])
@pytest.mark.parametrize("answer", [b"<html>502</html>", b"", b"[]", b"{}", b'{"errcode":"0"}', b'{"errcode":true}'])
async def test_an_answer_that_is_not_the_platforms_is_no_success(
    wecom: WeCom, platform: WeComPlatform, answer: bytes, path: str
) -> None:
    platform.fail(path, answer)
    assert (await failure(wecom)).retryable
    assert platform.texts(CUSTOMER) == []
    await say(wecom, reply())
    assert platform.texts(CUSTOMER) == ["您好"]


@pytest.mark.parametrize(("status", "retryable"), [(500, True), (502, True), (429, True), (302, False), (404, False)])
async def test_a_wrong_status_is_no_success(
    wecom: WeCom, platform: WeComPlatform, status: int, retryable: bool
) -> None:
    platform.fail("kf/send_msg", f"HTTP {status}".encode())
    error = await failure(wecom)
    assert flags(error) == ({"retryable"} if retryable else {"hold", "alarm"})


async def test_a_platform_that_hangs_costs_seconds_and_nobody_listening_none(store: Bell) -> None:
    hanging = WeComPlatform(CORP_ID, SECRET)
    hanging.late["kf/service_state/get"] = 7.0
    begun = time.perf_counter()
    async with serving(hanging), office(hanging, store) as wecom:
        assert (await failure(wecom)).retryable
        assert time.perf_counter() - begun < 6.5
    async with office(hanging, store, api_url="http://127.0.0.1:1") as wecom:
        assert (await failure(wecom)).retryable


async def test_a_store_that_is_away_is_tried_again_later(platform: WeComPlatform) -> None:
    away = Bell("redis://127.0.0.1:1")
    async with office(platform, away) as wecom:
        assert (await failure(wecom)).retryable
        with pytest.raises(SendError):
            await wecom.pull(ACCOUNT, "", "t")
    await away.close()


async def test_a_talk_is_given_to_the_first_colleague_on_duty(platform: WeComPlatform, store: Bell) -> None:
    platform.on_duty = {"li", "zhao"}
    async with office(platform, store, servicers="wang, li,zhao") as wecom:
        assert await wecom.hand_over(ADDRESS) == "li"
        assert platform.sessions[ACCOUNT, CUSTOMER].state == 3
        assert platform.sessions[ACCOUNT, CUSTOMER].servicer == "li"
        assert (await failure(wecom)).hold


@pytest.mark.parametrize("changes", [{}, {"servicers": "wang"}])
async def test_with_nobody_on_duty_our_console_has_it(
    platform: WeComPlatform, store: Bell, changes: dict[str, Any]
) -> None:
    async with office(platform, store, **changes) as wecom:
        assert await wecom.hand_over(ADDRESS) is None
        await say(wecom, reply())


@pytest.mark.parametrize("state", [3, 4])
async def test_a_session_that_is_taken_or_over_is_left_alone(platform: WeComPlatform, store: Bell, state: int) -> None:
    platform.on_duty = {"wang"}
    platform.sessions[ACCOUNT, CUSTOMER].state = state
    async with office(platform, store, servicers="wang") as wecom:
        assert await wecom.hand_over(ADDRESS) is None
    assert platform.calls["kf/service_state/trans"] == 0


async def test_a_bad_minute_at_the_handover_is_tried_again(platform: WeComPlatform, store: Bell) -> None:
    platform.on_duty = {"wang"}
    platform.fail("kf/service_state/trans", -1)
    async with office(platform, store, servicers="wang") as wecom:
        with pytest.raises(SendError) as caught:
            await wecom.hand_over(ADDRESS)
        assert caught.value.retryable
        assert await wecom.hand_over(ADDRESS) == "wang"


async def test_no_secret_and_nobody_in_the_log(
    platform: WeComPlatform, store: Bell, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    async with office(platform, store) as wecom:
        await say(wecom, reply(text="我的秘密"))
        await wecom.pull(ACCOUNT, "", platform.ticket())
        platform.fail("kf/send_msg", 95002)
        error = await failure(wecom, reply("2", "我的秘密"))
    written = caplog.text + "".join(capsys.readouterr()) + str(error)
    assert "95002" in written
    for secret in (platform.token, SECRET, CUSTOMER, "我的秘密", "在吗"):
        assert secret not in written
