"""Workers' files at the console: in the thread, behind the log-in, never a page, every look on record."""

from __future__ import annotations

import re
import uuid
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select, update

from bot import media
from bot.console import files
from bot.conversation import turn
from bot.hotline import Hotline
from bot.models import Attachment, Message
from bot.seal import PIECE
from connectors.abilities import Media
from connectors.base import Connector, Kind, SendError
from connectors.webchat import WebChat
from tests import samples
from tests.bot.console_seat import Colleague, at_desk, browser
from tests.bot.file_channel import FileChannel, brings
from tests.conftest import Clock
from tests.fakes import says


@pytest.fixture
def channel() -> FileChannel:
    found = FileChannel()
    for name in ("JPG", "AMR", "MP3", "PDF", "HEIC", "TXT", "MP4", "HTML"):
        found.kept[name] = Media(getattr(samples, name), "text/html", "<img src=x onerror=alert(1)>")
    return found


@pytest.fixture
def connectors(channel: FileChannel) -> dict[str, Connector]:
    return {"web": WebChat(), "fake": channel}


@pytest.fixture
async def fang(hotline: Hotline) -> AsyncIterator[Colleague]:
    async with at_desk(hotline, "fang", "王芳") as colleague:
        yield colleague


async def brought(hotline: Hotline, kind: Kind, name: str) -> tuple[str, str]:
    """A worker with a ticket sends this; the ticket's number and the file's id."""
    await turn(hotline, brings(kind, name))
    number = (await turn(hotline, says("人工"))).ticket or ""
    while await media.fetch_due(hotline):
        pass
    async with hotline.db.reading() as session:
        file = (await session.scalars(select(Attachment).order_by(Attachment.id.desc()).limit(1))).one()
    return number, str(file.id)


async def looks(hotline: Hotline) -> list[Message]:
    async with hotline.db.reading() as session:
        return list(await session.scalars(select(Message).where(Message.kind == "looked").order_by(Message.id)))


async def page(colleague: Colleague, number: str) -> str:
    return (await colleague.get(f"/console/tickets/{number}")).text


@pytest.mark.parametrize(
    ("kind", "name", "content_type", "tag"),
    [
        (Kind.IMAGE, "JPG", "image/jpeg", "<img"),
        (Kind.VOICE, "MP3", "audio/mpeg", "<audio"),
        (Kind.VIDEO, "MP4", "video/mp4", "<video"),
        (Kind.IMAGE, "HEIC", "application/octet-stream", ""),
        (Kind.VOICE, "AMR", "application/octet-stream", ""),
        (Kind.FILE, "PDF", "application/octet-stream", ""),
        (Kind.FILE, "TXT", "application/octet-stream", ""),
        (Kind.FILE, "HTML", "application/octet-stream", ""),
    ],
)
async def test_a_file_is_shown_or_offered_and_never_runs(
    hotline: Hotline, fang: Colleague, kind: Kind, name: str, content_type: str, tag: str
) -> None:
    number, key = await brought(hotline, kind, name)
    thread = await page(fang, number)
    assert f'href="/console/files/{key}?download=1"' in thread
    assert [each for each in ("<audio", "<video", 'class="file-image"') if each in thread] == (
        [tag.replace("<img", 'class="file-image"')] if tag else []
    )
    assert "<img src=x" not in thread
    answer = await fang.get(f"/console/files/{key}")
    assert answer.status_code == 200
    assert answer.content == getattr(samples, name)
    assert answer.headers["content-type"] == content_type
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in answer.headers["content-security-policy"]
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["cache-control"] == "private, no-store"
    assert answer.headers["content-disposition"].startswith("inline;" if tag else "attachment;")
    assert (await fang.get(f"/console/files/{key}?download=1")).headers["content-disposition"].startswith("attachment;")


async def test_the_page_may_show_and_play_our_own_files_and_nobody_elses(hotline: Hotline, fang: Colleague) -> None:
    number, _ = await brought(hotline, Kind.VOICE, "MP3")
    policy = (await fang.get(f"/console/tickets/{number}")).headers["content-security-policy"]
    assert "img-src 'self' data:;" in policy
    assert "media-src 'self';" in policy


async def test_a_stranger_gets_nothing(hotline: Hotline) -> None:
    _, key = await brought(hotline, Kind.IMAGE, "JPG")
    async with browser(hotline) as nobody:
        answer = await nobody.get(f"/console/files/{key}")
    assert answer.status_code == 401
    assert samples.JPG not in answer.content
    assert await looks(hotline) == []


async def test_what_nobody_handed_to_a_person_no_person_looks_at(hotline: Hotline, fang: Colleague) -> None:
    await turn(hotline, brings(Kind.IMAGE, "JPG", "somebody-else"))
    while await media.fetch_due(hotline):
        pass
    async with hotline.db.reading() as session:
        file = (await session.scalars(select(Attachment))).one()
    assert (await fang.get(f"/console/files/{file.id}")).status_code == 404


@pytest.mark.parametrize(
    "key", ["x", "..%2f..%2fetc%2fpasswd", "0190a0b0-0000-7000-8000-000000000000", "0" * 32, "%00"]
)
async def test_what_is_no_file_is_not_found(fang: Colleague, key: str) -> None:
    answer = await fang.get(f"/console/files/{key}")
    assert answer.status_code == 404
    assert "Traceback" not in answer.text


async def test_every_look_is_recorded_and_the_page_names_who_looked_once(
    hotline: Hotline, fang: Colleague, clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    number, key = await brought(hotline, Kind.IMAGE, "JPG")
    assert "看过" not in await page(fang, number)
    for _ in range(3):
        await fang.get(f"/console/files/{key}")
    assert capsys.readouterr().out.count("file_looked") == 3
    [look] = await looks(hotline)
    assert look.payload == {"ticket": number, "file": key}
    async with at_desk(hotline, "qiang", "李强") as qiang:
        await qiang.get(f"/console/files/{key}")
    clock.forward(hours=2)
    await fang.get(f"/console/files/{key}")
    assert len(await looks(hotline)) == 3
    thread = await page(fang, number)
    assert "看过：王芳、李强" in thread
    assert thread.count("王芳") - thread.count("看过：王芳") <= 1


async def test_a_second_look_does_not_make_the_page_draw_itself_again(hotline: Hotline, fang: Colleague) -> None:
    number, key = await brought(hotline, Kind.IMAGE, "JPG")
    await fang.get(f"/console/files/{key}")
    seen = re.findall(r"part=thread&amp;seen=([0-9a-f]+)", await page(fang, number))[0]
    await fang.get(f"/console/files/{key}")
    assert (await fang.get(f"/console/tickets/{number}?part=thread&seen={seen}")).status_code == 204


async def test_what_is_still_to_come_and_what_never_will_is_said(
    hotline: Hotline, fang: Colleague, channel: FileChannel
) -> None:
    await turn(hotline, brings(Kind.IMAGE, "JPG"))
    number = (await turn(hotline, says("人工"))).ticket or ""
    assert "正在取回" in await page(fang, number)
    channel.trouble.append(SendError("平台繁忙", retryable=True))
    await media.fetch_due(hotline)
    thread = await page(fang, number)
    assert "还没取回，会再试：平台繁忙" in thread
    assert "/console/files/" not in thread
    await turn(hotline, brings(Kind.FILE, "gone"))
    await media.fetch_due(hotline)
    assert "没有存下：平台上已经没有了" in await page(fang, number)


async def test_the_words_of_a_machine_stand_beside_the_recording_and_say_so(hotline: Hotline, fang: Colleague) -> None:
    number, _ = await brought(hotline, Kind.VOICE, "AMR")
    async with hotline.db.reading() as session:
        voice = (await session.scalars(select(Message).where(Message.kind == "voice"))).one()
    heard: dict[str, Any] = {"heard": True, "of": str(voice.id)}
    async with hotline.db.transaction() as session:
        session.add(
            Message(
                created_at=hotline.clock(),
                conversation_id=voice.conversation_id,
                channel="fake",
                direction="in",
                kind="voice",
                external_id="x:heard",
                text="老板<b>三个月</b>没发工资",
                payload=heard,
                status="handled",
            )
        )
    thread = await page(fang, number)
    assert "机器听写，可能有错</b>老板&lt;b&gt;三个月&lt;/b&gt;没发工资" in thread
    assert thread.count("没发工资") == 1
    assert thread.index("/console/files/") < thread.index("机器听写")


async def test_a_failed_transcript_is_said_to_staff(hotline: Hotline, fang: Colleague) -> None:
    number, key = await brought(hotline, Kind.VOICE, "AMR")
    async with hotline.db.transaction() as session:
        await session.execute(
            update(Attachment)
            .where(Attachment.id == uuid.UUID(key))
            .values(reason="没有转成文字：语音转写没有及时回应")
        )
    assert "没有转成文字：语音转写没有及时回应" in await page(fang, number)


async def test_a_damaged_file_is_said_in_words(hotline: Hotline, fang: Colleague) -> None:
    _, key = await brought(hotline, Kind.IMAGE, "JPG")
    async with hotline.db.transaction() as session:
        await session.execute(update(Attachment).values(key="0" * 31 + "f"))
    answer = await fang.get(f"/console/files/{key}")
    assert answer.status_code == 404
    assert "文件" in answer.text
    assert await looks(hotline) == []


@pytest.mark.parametrize(
    ("asked", "part"),
    [
        ("bytes=0-", slice(0, None)),
        ("bytes=0-1", slice(0, 2)),
        (f"bytes={PIECE - 3}-{PIECE + 4}", slice(PIECE - 3, PIECE + 5)),
        ("bytes=-5", slice(-5, None)),
        ("bytes=10-99999999", slice(10, None)),
    ],
)
async def test_a_player_may_ask_for_a_part(
    hotline: Hotline, fang: Colleague, channel: FileChannel, asked: str, part: slice
) -> None:
    data = samples.MP4 + bytes(range(256)) * 2000
    channel.kept["long"] = Media(data, "video/mp4")
    _, key = await brought(hotline, Kind.VIDEO, "long")
    answer = await fang.get(f"/console/files/{key}", Range=asked)
    assert answer.status_code == 206
    assert answer.content == data[part]
    start, end, _ = part.indices(len(data))
    assert answer.headers["content-range"] == f"bytes {start}-{end - 1}/{len(data)}"


@given(st.text() | st.from_regex(r"bytes=\d{0,4}-\d{0,4}", fullmatch=True), st.integers(1, 5000))
def test_any_range_is_a_part_of_the_file_or_none(asked: str, size: int) -> None:
    found = files._span(asked, size)
    assert found is None or 0 <= found[0] < found[1] <= size


async def test_one_colleagues_look_an_hour_later_counts_again(hotline: Hotline, fang: Colleague, clock: Clock) -> None:
    _, key = await brought(hotline, Kind.IMAGE, "JPG")
    await fang.get(f"/console/files/{key}")
    clock.now += timedelta(minutes=61)
    await fang.get(f"/console/files/{key}")
    assert len(await looks(hotline)) == 2
