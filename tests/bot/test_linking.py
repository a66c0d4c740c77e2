"""One person on several channels: a code asked for on one and sent on another, tickets in sight of both, and undone."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import func, select

from bot import codes, linking, outbox, tickets
from bot.conversation import turn
from bot.dialogue import wording
from bot.hotline import Hotline
from bot.linking import Wish, read
from bot.models import LinkCode, LoginFailure, Message, Staff, Worker
from connectors.base import Event
from tests.bot.console_seat import at_desk
from tests.conftest import Clock
from tests.fakes import FakeConnector, happens, says


async def hear(hotline: Hotline, text: str, address: str = "zhang") -> str:
    turned = await turn(hotline, says(text, address))
    if turned.text is None and turned.message_id is not None:
        # It waits behind something that the outbox is about to send.
        async with hotline.db.reading() as session:
            return (await session.get_one(Message, turned.message_id)).text
    return turned.text or ""


async def ask_code(hotline: Hotline, address: str = "zhang", words: str = "绑定") -> str:
    said = await hear(hotline, words, address)
    found = re.search(rf"[{codes.SIGNS}]{{{codes.LENGTH}}}", said)
    assert found, said
    return found[0]


async def people(hotline: Hotline) -> Sequence[Worker]:
    async with hotline.db.reading() as session:
        return (await session.scalars(select(Worker).order_by(Worker.id))).all()


async def linked(hotline: Hotline, one: str = "zhang", other: str = "zhang-web") -> None:
    assert "连上了" in await hear(hotline, f"绑定 {await ask_code(hotline, one)}", other)


@pytest.mark.parametrize(
    "words", ["绑定", "绑定码", "我要绑定", "换手机", "換手機", "綁定", "帮我绑定一下。", "给我个绑定码"]
)
def test_asking_for_a_code(words: str) -> None:
    assert read(words) == Wish("ask")


@pytest.mark.parametrize("words", ["解绑", "解除绑定", "取消绑定吧", "解綁"])
def test_asking_to_be_parted(words: str) -> None:
    assert read(words) == Wish("undo")


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ("绑定 ACDE2345", "ACDE2345"),
        ("绑定ACDE2345", "ACDE2345"),
        ("绑定码：acde 2345。", "ACDE2345"),
        ("绑定 ＡＣＤＥ－２３４５", "ACDE2345"),
        ("绑定 ACDE Z3B5", "ACDE2385"),
        ("我的绑定码是 ACDE2345", "ACDE2345"),
        ("绑定 ABC234", ""),
        ("绑定 13812345678", ""),
        ("绑定 ACDE0000", ""),
    ],
)
def test_bringing_a_code(words: str, code: str) -> None:
    assert read(words) == Wish("enter", code)


@pytest.mark.parametrize(
    "words",
    [
        "",
        "绑定银行卡怎么弄",
        "工资卡绑定不了",
        "老板让我换手机",
        "我被绑了",
        "解绑社保卡要去哪",
        "ACDE2345",
        "绑定" * 50,
    ],
)
def test_what_only_sounds_like_it_is_left_to_the_dialogue(words: str) -> None:
    assert read(words) is None


@given(st.text(max_size=200))
def test_any_text_is_read(text: str) -> None:
    wish = read(text)
    assert wish is None or wish.code == "" or wish.code == codes.tidy(wish.code)


@given(
    st.text(codes.SIGNS, min_size=codes.LENGTH, max_size=codes.LENGTH),
    st.sampled_from(["", " ", "-", "  "]),
    st.booleans(),
    st.integers(1, codes.LENGTH - 1),
)
def test_a_code_is_read_however_it_is_typed(code: str, gap: str, small: bool, at: int) -> None:
    typed = f"{code[:at]}{gap}{code[at:]}"
    assert read(f"绑定 {typed.lower() if small else typed}") == Wish("enter", code)


async def test_a_code_joins_two_workers_into_one_person(hotline: Hotline) -> None:
    await linked(hotline)
    zhang, web = await people(hotline)
    assert zhang.person_id is not None
    assert zhang.person_id == web.person_id


async def test_only_a_keyed_hash_of_the_code_is_kept(hotline: Hotline) -> None:
    code = await ask_code(hotline)
    async with hotline.db.reading() as session:
        row = (await session.scalars(select(LinkCode))).one()
    assert code not in f"{row.code_hash} {row.id}"
    assert row.expires_at - row.created_at == timedelta(minutes=10)


async def test_a_code_works_once_and_for_ten_minutes(hotline: Hotline, clock: Clock) -> None:
    code = await ask_code(hotline)
    clock.forward(minutes=10, seconds=1)
    assert await hear(hotline, f"绑定 {code}", "web") == wording.LINK_WRONG
    code = await ask_code(hotline)
    assert "连上了" in await hear(hotline, f"绑定 {code}", "web")
    assert await hear(hotline, f"绑定 {code}", "thief") == wording.LINK_WRONG
    assert (await people(hotline))[-1].person_id is None


async def test_of_two_who_bring_a_code_at_once_one_is_joined(hotline: Hotline) -> None:
    code = await ask_code(hotline)
    said = await asyncio.gather(*(hear(hotline, f"绑定 {code}", f"web{number}") for number in range(4)))
    assert sum("连上了" in each for each in said) == 1


async def test_a_new_code_makes_the_one_before_worthless(hotline: Hotline) -> None:
    first, second = await ask_code(hotline), await ask_code(hotline)
    assert await hear(hotline, f"绑定 {first}", "web") == wording.LINK_WRONG
    assert "连上了" in await hear(hotline, f"绑定 {second}", "web")


async def test_a_code_sent_back_where_it_came_from_stays_good(hotline: Hotline) -> None:
    code = await ask_code(hotline)
    for _ in range(codes.WRONG_TRIES + 1):
        assert await hear(hotline, f"绑定 {code}") == wording.LINK_SELF
    assert "连上了" in await hear(hotline, f"绑定 {code}", "web")


async def test_five_wrong_tries_in_ten_minutes_and_no_more(hotline: Hotline, clock: Clock) -> None:
    good = await ask_code(hotline)
    wrong = "A" * codes.LENGTH if good != "A" * codes.LENGTH else "C" * codes.LENGTH
    for _ in range(codes.WRONG_TRIES):
        assert await hear(hotline, f"绑定 {wrong}", "web") == wording.LINK_WRONG
    assert await hear(hotline, f"绑定 {good}", "web") == wording.LINK_WAIT
    assert "连上了" in await hear(hotline, f"绑定 {good}", "another"), "somebody else is not held up"
    clock.forward(minutes=11)
    assert "连上了" in await hear(hotline, f"绑定 {await ask_code(hotline)}", "web")
    async with hotline.db.reading() as session:
        left = await session.scalar(
            select(func.count())
            .select_from(LoginFailure)
            .where(LoginFailure.created_at > clock() - timedelta(minutes=10))
        )
    assert left == 0, "a good code is no wrong try"


async def test_something_that_cannot_be_a_code_is_no_wrong_try(hotline: Hotline) -> None:
    code = await ask_code(hotline)
    for _ in range(codes.WRONG_TRIES + 1):
        assert "8位" in await hear(hotline, "绑定 ABC234", "web")
    assert "连上了" in await hear(hotline, f"绑定 {code}", "web")


async def test_the_one_who_gave_the_code_is_told(hotline: Hotline, channel: FakeConnector, clock: Clock) -> None:
    await linked(hotline)
    clock.forward(minutes=2)
    while await outbox.drain(hotline):
        pass
    assert [text for address, text in channel.sent if address == "zhang" and "不是你本人" in text]


async def test_tickets_follow_the_person(hotline: Hotline, wang: Staff) -> None:
    opened = (await turn(hotline, says("人工", "zhang"))).ticket or ""
    assert opened not in await hear(hotline, "进度", "zhang-web")
    await linked(hotline)
    said = await hear(hotline, "进度", "zhang-web")
    assert opened in said
    second = (await turn(hotline, says("人工", "zhang-web"))).ticket or ""
    for address in ("zhang", "zhang-web"):
        said = await hear(hotline, "进度", address)
        assert opened in said
        assert second in said
        assert "前有人在这里回复您" in said, "the ticket of this talk"
        assert "前有人在fake回复您" in said, "the ticket of the other one"
    async with hotline.db.transaction() as session:
        ticket = await tickets.get(session, opened)
        await tickets.claim(session, ticket, wang, hotline.clock())
        await tickets.close(session, ticket, wang, "answered", hotline.clock())
    assert opened not in await hear(hotline, "进度", "zhang-web")


async def test_a_third_channel_joins_the_same_person_and_two_persons_become_one(hotline: Hotline) -> None:
    await linked(hotline, "a", "b")
    await linked(hotline, "c", "d")
    await linked(hotline, "b", "d")
    assert len({worker.person_id for worker in await people(hotline)}) == 1
    assert await hear(hotline, f"绑定 {await ask_code(hotline, 'a')}", "c") == wording.LINK_TWICE


async def test_parting_leaves_the_others_together(hotline: Hotline) -> None:
    await linked(hotline, "a", "b")
    await linked(hotline, "a", "c")
    opened = (await turn(hotline, says("人工", "a"))).ticket or ""
    assert await hear(hotline, "解绑", "b") == wording.UNLINK_DONE
    assert opened not in await hear(hotline, "进度", "b")
    assert opened in await hear(hotline, "进度", "c")
    assert await hear(hotline, "解绑", "c") == wording.UNLINK_DONE
    assert [worker.person_id for worker in await people(hotline)] == [None, None, None]
    assert await hear(hotline, "解绑", "c") == wording.UNLINK_NONE


async def test_while_a_colleague_speaks_a_code_is_given_and_small_talk_is_not_answered(
    hotline: Hotline, wang: Staff
) -> None:
    number = (await turn(hotline, says("人工"))).ticket or ""
    async with hotline.db.transaction() as session:
        await tickets.claim(session, await tickets.get(session, number), wang, hotline.clock())
    assert await hear(hotline, "换手机") == ""
    assert await ask_code(hotline)
    assert await hear(hotline, "进度") == ""


async def test_danger_goes_before_a_code(hotline: Hotline) -> None:
    assert "12356" in await hear(hotline, "我不想活了，绑定")


async def test_nothing_is_said_while_the_platforms_own_desk_speaks(hotline: Hotline) -> None:
    await turn(hotline, says("你好"))
    await turn(hotline, happens(Event.TAKEN))
    assert await hear(hotline, "绑定") == ""
    async with hotline.db.reading() as session:
        assert await session.scalar(select(func.count()).select_from(LinkCode)) == 0


async def test_a_repeated_delivery_shows_the_same_code(hotline: Hotline) -> None:
    first = await turn(hotline, says("绑定", key="once"))
    again = await turn(hotline, says("绑定", key="once"))
    assert again.text == first.text


async def test_the_console_shows_the_persons_other_talks(hotline: Hotline, wang: Staff) -> None:
    opened = (await turn(hotline, says("人工", "zhang"))).ticket or ""
    second = (await turn(hotline, says("人工", "zhang-web"))).ticket or ""
    async with at_desk(hotline, "fang", "王芳") as colleague:
        before = await colleague.get(f"/console/tickets/{opened}")
        assert second not in before.text
        await linked(hotline)
        page = await colleague.get(f"/console/tickets/{opened}")
        assert f'href="/console/tickets/{second}"' in page.text
        assert "同一个人" in page.text
        assert "的聊天连上了" in page.text
        assert (await colleague.get(f"/console/tickets/{opened}?part=person")).status_code == 200


async def test_what_the_person_has_elsewhere_is_latest_first(hotline: Hotline) -> None:
    await linked(hotline, "a", "b")
    await linked(hotline, "a", "c")
    await hear(hotline, "你好", "b")
    async with hotline.db.reading() as session:
        first = (await people(hotline))[0]
        found = await linking.elsewhere(session, first)
        last = await session.scalar(select(func.max(Message.created_at)).where(Message.direction.in_(("in", "out"))))
    assert [each.last_at for each in found] == sorted((each.last_at for each in found if each.last_at), reverse=True)
    assert found[0].last_at == last
