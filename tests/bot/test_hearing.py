"""A recording becomes words by a service on a real socket, is read back and goes the usual way; or the worker types."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from pydantic import SecretStr
from sqlalchemy import select, update

from bot import hearing, media, outbox, settings, tickets
from bot.conversation import turn
from bot.dialogue import wording
from bot.hearing import NotHeard
from bot.hotline import Hotline
from bot.models import Attachment, Message, Staff, Ticket, Worker
from bot.settings import Settings
from connectors.abilities import Media
from connectors.base import Connector, Kind
from connectors.webchat import WebChat, upload
from tests import asr_stand_in, samples
from tests.asr_stand_in import StandIn, http, never, said
from tests.bot.file_channel import FileChannel, brings
from tests.conftest import Clock
from tests.fakes import says

SPOKEN = "老板三个月没给我发工资了。"


@pytest.fixture
async def asr() -> AsyncIterator[StandIn]:
    async with asr_stand_in.running() as found:
        yield found


@pytest.fixture
def configured(asr: StandIn) -> Settings:
    told = {"asr_url": asr.url, "asr_key": SecretStr("sk-union"), "asr_model": "sense", "asr_seconds": 20.0}
    return settings.settings().model_copy(update=told)


@pytest.fixture
def channel() -> FileChannel:
    found = FileChannel()
    found.kept["memo"] = Media(samples.AMR, "audio/amr")
    return found


@pytest.fixture
def connectors(channel: FileChannel) -> dict[str, Connector]:
    return {"web": WebChat(), "fake": channel}


async def settle(hotline: Hotline) -> None:
    while await media.fetch_due(hotline):
        pass


async def wait_out(hotline: Hotline, clock: Clock) -> None:
    """All tries that a recording gets."""
    for _ in range(4):
        await settle(hotline)
        clock.forward(seconds=15)


async def only(hotline: Hotline) -> Attachment:
    async with hotline.db.reading() as session:
        return (await session.scalars(select(Attachment))).one()


async def inbox_of(hotline: Hotline) -> list[Message]:
    async with hotline.db.reading() as session:
        rows = await session.scalars(select(Message).where(Message.direction == "in").order_by(Message.id))
        return list(rows)


async def sent(hotline: Hotline, channel: FileChannel, clock: Clock) -> list[str]:
    """What was pushed to the worker; what rode in a response is not pushed again."""
    async with hotline.db.reading() as session:
        rows = await session.scalars(select(Message).where(Message.direction == "out", Message.status == "pending"))
        rode = [row.id for row in rows if row.text == wording.LISTENING]
    await outbox.mark_sent(hotline, rode)
    while await outbox.drain(hotline):
        pass
    return [text for _, text in channel.sent]


async def test_a_recording_is_heard_read_back_and_answered(
    hotline: Hotline, channel: FileChannel, clock: Clock, asr: StandIn
) -> None:
    first = await turn(hotline, brings(Kind.VOICE, "memo"))
    assert first.text == wording.LISTENING
    await settle(hotline)
    [asked] = asr.asked
    assert (asked.path, asked.authorization) == ("/v1/audio/transcriptions", "Bearer sk-union")
    assert asked.voice == samples.AMR
    assert asked.file_name == "voice.amr"
    assert asked.fields == {"model": "sense", "language": "zh", "response_format": "json"}
    [back] = await sent(hotline, channel, clock)
    assert "您说的是：“老板三个月没给我发工资了”，对吗？" in back
    answer = await turn(hotline, says("对"))
    assert "依据" in (answer.text or "") or "更多" in (answer.text or "")


async def test_the_recording_stays_and_the_words_are_marked_as_a_machines(hotline: Hotline) -> None:
    await turn(hotline, brings(Kind.VOICE, "memo", key="m-1"))
    await settle(hotline)
    voice, words = await inbox_of(hotline)
    assert (await only(hotline)).status == "kept"
    assert words.external_id == f"{voice.external_id}:heard"
    assert (words.kind, words.text) == ("voice", SPOKEN)
    assert words.payload["heard"] is True
    assert words.payload["of"] == str(voice.id)


async def test_a_process_that_dies_after_the_words_were_taken_says_nothing_twice(
    hotline: Hotline, channel: FileChannel, clock: Clock
) -> None:
    await turn(hotline, brings(Kind.VOICE, "memo"))
    await settle(hotline)
    async with hotline.db.transaction() as session:
        await session.execute(update(Attachment).values(status="waiting", next_try_at=clock()))
    await settle(hotline)
    assert len(await inbox_of(hotline)) == 2
    assert len(await sent(hotline, channel, clock)) == 1
    assert (await only(hotline)).status == "kept"


@pytest.mark.parametrize(
    "answer",
    [
        http(500, b"oops"),
        http(503, b"<html>busy</html>", "text/html"),
        http(429, b"{}"),
        None,
        never,
        b"HTTP/1.1 200 X\r\nContent-Length: 100\r\n\r\n{",
        b"nonsense\r\n\r\n",
    ],
    ids=["500", "503", "429", "hangs up", "slow", "torn", "no HTTP"],
)
async def test_a_service_that_fails_is_asked_again_and_then_the_worker_types(
    hotline: Hotline, channel: FileChannel, clock: Clock, asr: StandIn, answer: asr_stand_in.Answer | bytes | None
) -> None:
    if answer is never:
        hotline.settings = hotline.settings.model_copy(update={"asr_seconds": 0.5})
    asr.answers = [answer]
    await turn(hotline, brings(Kind.VOICE, "memo"))
    await wait_out(hotline, clock)
    assert len(asr.asked) == 3
    assert await sent(hotline, channel, clock) == [wording.NOT_HEARD]
    assert "人工" in wording.NOT_HEARD
    file = await only(hotline)
    assert file.status == "kept"
    assert "没有转成文字" in (file.reason or "")
    assert len(await inbox_of(hotline)) == 1


@pytest.mark.parametrize(
    "answer",
    [
        http(200, b"<html>log in first</html>", "text/html"),
        http(200, b"[" * 100_000),
        http(200, b"x" * 400_000),
        said(None),
        said(["a"]),
        said("  。。。 "),
        said(""),
        http(401, b"{}"),
        http(302, b""),
        http(413, b"{}"),
    ],
)
async def test_an_answer_that_is_none_is_not_asked_for_again(
    hotline: Hotline, channel: FileChannel, clock: Clock, asr: StandIn, answer: bytes
) -> None:
    asr.answers = [answer]
    await turn(hotline, brings(Kind.VOICE, "memo"))
    await wait_out(hotline, clock)
    assert len(asr.asked) == 1
    assert await sent(hotline, channel, clock) == [wording.NOT_HEARD]


async def test_a_service_that_recovers_is_heard(
    hotline: Hotline, channel: FileChannel, clock: Clock, asr: StandIn
) -> None:
    asr.answers = [http(500, b""), said(SPOKEN)]
    await turn(hotline, brings(Kind.VOICE, "memo"))
    await wait_out(hotline, clock)
    [back] = await sent(hotline, channel, clock)
    assert SPOKEN.rstrip("。") in back
    assert (await only(hotline)).reason is None


async def test_danger_in_a_recording_is_answered_at_once(
    hotline: Hotline, channel: FileChannel, clock: Clock, asr: StandIn
) -> None:
    asr.answers = [said("我不想活了，我在楼顶")]
    await turn(hotline, brings(Kind.VOICE, "memo"))
    await settle(hotline)
    [answer] = await sent(hotline, channel, clock)
    assert "12356" in answer
    assert "对吗" not in answer
    async with hotline.db.reading() as session:
        assert (await session.scalars(select(Ticket))).one().priority == "crisis"


async def test_who_asks_for_a_person_by_voice_gets_one_and_the_sheet_says_how(hotline: Hotline, asr: StandIn) -> None:
    asr.answers = [said("转人工")]
    await turn(hotline, brings(Kind.VOICE, "memo"))
    await settle(hotline)
    async with hotline.db.reading() as session:
        ticket = (await session.scalars(select(Ticket))).one()
    assert ticket.reason == "asked"
    assert ticket.sheet["asked"] == ["［语音］", "转人工（语音，机器听写）"]


async def test_where_we_may_not_push_the_worker_types_and_only_danger_is_answered(
    hotline: Hotline, asr: StandIn, channel: FileChannel
) -> None:
    hotline.connectors["fake"] = passive = FileChannel(push=False)
    passive.kept = channel.kept
    asked = await turn(hotline, brings(Kind.VOICE, "memo"))
    assert asked.text == wording.KINDS["voice"]
    await settle(hotline)
    async with hotline.db.reading() as session:
        assert len(list(await session.scalars(select(Message).where(Message.direction == "out")))) == 1
    assert [message.text for message in await inbox_of(hotline)] == ["", SPOKEN]
    asr.answers = [said("有人拿刀要砍我")]
    await turn(hotline, brings(Kind.VOICE, "memo"))
    await settle(hotline)
    answer = await turn(hotline, says("你好"))
    assert "110" in (answer.text or "")


async def test_staff_who_hold_the_talk_read_the_words_and_the_machine_is_silent(
    hotline: Hotline, channel: FileChannel, clock: Clock, asr: StandIn, wang: Staff
) -> None:
    opened = await turn(hotline, says("人工"))
    async with hotline.db.transaction() as session:
        ticket = await tickets.get(session, opened.ticket or "")
        await tickets.claim(session, ticket, wang, hotline.clock())
    clock.forward(seconds=30)
    before = len(await sent(hotline, channel, clock))
    assert before
    await turn(hotline, brings(Kind.VOICE, "memo"))
    await settle(hotline)
    assert len(await sent(hotline, channel, clock)) == before
    assert (await inbox_of(hotline))[-1].text == SPOKEN
    asr.answers = [http(400, b"")]
    await turn(hotline, brings(Kind.VOICE, "memo"))
    await wait_out(hotline, clock)
    assert len(await sent(hotline, channel, clock)) == before


async def test_what_the_platform_wrote_down_itself_is_read_back_and_not_heard_again(
    hotline: Hotline, asr: StandIn
) -> None:
    turned = await turn(hotline, brings(Kind.VOICE, "memo", text=SPOKEN))
    assert "“老板三个月没给我发工资了”，对吗" in (turned.text or "")
    await settle(hotline)
    assert asr.asked == []
    assert (await only(hotline)).status == "kept"


async def test_a_recording_from_the_web_page_is_heard_too(hotline: Hotline, asr: StandIn) -> None:
    key, session_id = "0" * 32, "1" * 32

    async def whole() -> AsyncIterator[bytes]:
        yield samples.M4A

    size = await hotline.vault.put(key, whole())
    stored = {"file_name": "录音.m4a", "upload": {"key": key, "size": size, "content_type": "audio/mp4"}}
    turned = await turn(hotline, upload(session_id, "a", Kind.VOICE, stored, hotline.clock()))
    assert turned.text == wording.LISTENING
    await settle(hotline)
    assert asr.asked[0].file_name == "voice.m4a"
    async with hotline.db.reading() as session:
        rows = await session.scalars(select(Message).where(Message.direction == "out").order_by(Message.id))
        assert [row.status for row in rows] == ["sent", "sent"]


async def test_the_transcript_does_not_renew_what_the_platform_lets_us_send(
    hotline: Hotline, channel: FileChannel, clock: Clock
) -> None:
    await turn(hotline, brings(Kind.VOICE, "memo"))
    await settle(hotline)
    await sent(hotline, channel, clock)
    async with hotline.db.reading() as session:
        worker = (await session.scalars(select(Worker))).one()
    assert worker.grant_left == 4


async def test_a_late_transcript_is_not_taken_for_an_old_message(hotline: Hotline, clock: Clock) -> None:
    await turn(hotline, brings(Kind.VOICE, "memo"))
    clock.forward(hours=2)
    await settle(hotline)
    words = (await inbox_of(hotline))[-1]
    assert words.created_at > clock.now - timedelta(minutes=1)


async def test_the_time_limit_holds_for_an_answer_that_trickles(asr: StandIn, configured: Settings) -> None:
    asr.answers = [never]
    short = configured.model_copy(update={"asr_seconds": 0.2})
    began = asyncio.get_running_loop().time()
    with pytest.raises(NotHeard) as refused:
        await hearing.transcribe(short, samples.AMR, "audio/amr")
    assert refused.value.retryable
    assert asyncio.get_running_loop().time() - began < 2


async def test_no_words_and_no_keys_in_the_log(
    hotline: Hotline, asr: StandIn, capsys: pytest.CaptureFixture[str]
) -> None:
    asr.answers = [http(500, SPOKEN.encode()), said(SPOKEN)]
    await turn(hotline, brings(Kind.VOICE, "memo", "13812345678"))
    await settle(hotline)
    output = "".join(capsys.readouterr())
    assert output
    for secret in (SPOKEN, "sk-union", "13812345678"):
        assert secret not in output
