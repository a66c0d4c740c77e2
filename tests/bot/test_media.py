"""What workers send is fetched once, looked at, sealed and kept; what cannot be kept is said, to staff and to them."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import select, update

from bot import media, outbox, tickets
from bot.conversation import keep, turn
from bot.dialogue import wording
from bot.hotline import Hotline
from bot.models import Attachment, Message, Staff
from connectors.abilities import Media
from connectors.base import Connector, Kind, SendError
from connectors.webchat import WebChat
from tests import samples
from tests.bot.file_channel import FileChannel, brings
from tests.conftest import Clock


@pytest.fixture
def channel() -> FileChannel:
    found = FileChannel()
    found.kept["photo"] = Media(samples.JPG, "application/octet-stream", "IMG_1.JPG")
    found.kept["memo"] = Media(samples.AMR, "audio/amr")
    return found


@pytest.fixture
def connectors(channel: FileChannel) -> dict[str, Connector]:
    return {"web": WebChat(), "fake": channel}


async def files(hotline: Hotline) -> list[Attachment]:
    async with hotline.db.reading() as session:
        return list(await session.scalars(select(Attachment).order_by(Attachment.id)))


async def only(hotline: Hotline) -> Attachment:
    [found] = await files(hotline)
    return found


async def content(hotline: Hotline, file: Attachment) -> bytes:
    return b"".join([piece async for piece in hotline.vault.get(file.key or "")])


async def settle(hotline: Hotline) -> None:
    while await media.fetch_due(hotline):
        pass


async def told(hotline: Hotline, clock: Clock, channel: FileChannel) -> list[str]:
    """What was pushed to the worker."""
    clock.forward(seconds=30)
    while await outbox.drain(hotline):
        pass
    return [text for _, text in channel.sent]


async def test_a_picture_is_kept_as_what_it_is(hotline: Hotline) -> None:
    await turn(hotline, brings(Kind.IMAGE, "photo"))
    before = await only(hotline)
    assert (before.status, before.key) == ("waiting", None)
    await settle(hotline)
    file = await only(hotline)
    assert (file.status, file.content_type, file.size) == ("kept", "image/jpeg", len(samples.JPG))
    assert (file.name, file.next_try_at, file.reason) == ("IMG_1.jpg", None, None)
    assert await content(hotline, file) == samples.JPG


async def test_it_is_fetched_once(hotline: Hotline, channel: FileChannel) -> None:
    await asyncio.gather(*(turn(hotline, brings(Kind.IMAGE, "photo", key="same")) for _ in range(3)))
    await settle(hotline)
    await settle(hotline)
    assert channel.fetched == ["photo"]


async def test_of_two_processes_one_fetches(hotline: Hotline, channel: FileChannel) -> None:
    await turn(hotline, brings(Kind.IMAGE, "photo"))
    await asyncio.gather(*(media.fetch_due(hotline) for _ in range(4)))
    assert channel.fetched == ["photo"]
    assert (await only(hotline)).status == "kept"


async def test_what_a_dead_process_had_claimed_is_fetched_later(hotline: Hotline, clock: Clock) -> None:
    await turn(hotline, brings(Kind.IMAGE, "photo"))
    async with hotline.db.transaction() as session:
        later = clock() + timedelta(minutes=4)
        await session.execute(update(Attachment).values(attempts=1, next_try_at=later))
    await settle(hotline)
    assert (await only(hotline)).status == "waiting"
    clock.forward(minutes=5)
    await settle(hotline)
    assert (await only(hotline)).status == "kept"


async def test_a_message_that_was_only_stored_brings_its_file_when_it_is_answered(hotline: Hotline) -> None:
    await keep(hotline, brings(Kind.IMAGE, "photo", key="late"))
    assert await files(hotline) == []
    await turn(hotline, brings(Kind.IMAGE, "photo", key="late"))
    await settle(hotline)
    assert (await only(hotline)).status == "kept"


@pytest.mark.parametrize(
    ("kind", "data", "status", "reason"),
    [
        (Kind.IMAGE, samples.PDF, "refused", "对不上"),
        (Kind.VOICE, samples.PNG, "refused", "对不上"),
        (Kind.FILE, samples.PROGRAM, "refused", "能收的有"),
        (Kind.FILE, samples.MACRO, "refused", "能收的有"),
        (Kind.FILE, b"", "refused", "能收的有"),
        (Kind.IMAGE, samples.HTML, "refused", "对不上"),
        (Kind.FILE, samples.JPG + bytes(20 * 1024 * 1024), "refused", "20 MB"),
        (Kind.FILE, samples.DOCX, "kept", ""),
        (Kind.VIDEO, samples.MOV, "kept", ""),
    ],
)
async def test_size_and_content_decide_and_not_what_is_said_of_them(
    hotline: Hotline, channel: FileChannel, clock: Clock, kind: Kind, data: bytes, status: str, reason: str
) -> None:
    channel.kept["x"] = Media(data, "image/png", "harmless.png")
    await turn(hotline, brings(kind, "x"))
    await settle(hotline)
    file = await only(hotline)
    assert file.status == status
    assert reason in (file.reason or "")
    assert (file.key is None) == (status != "kept")
    pushed = [text for text in await told(hotline, clock, channel) if "没能存下来" in text]
    assert len(pushed) == (status == "refused")
    assert all(wording.WHAT_CAME[kind.value] in text for text in pushed)


@pytest.mark.parametrize(
    ("kind", "data", "said", "status"),
    [
        (Kind.VOICE, bytes(range(1, 200)), "voice/speex", "kept"),
        (Kind.VOICE, bytes(range(1, 200)), "voice/unknown", "refused"),
        (Kind.VOICE, samples.PROGRAM, "voice/speex", "refused"),
        (Kind.FILE, bytes(range(1, 200)), "voice/speex", "refused"),
    ],
)
async def test_bare_speech_has_no_beginning_and_is_taken_on_the_platforms_word(
    hotline: Hotline, channel: FileChannel, kind: Kind, data: bytes, said: str, status: str
) -> None:
    channel.kept["x"] = Media(data, said)
    await turn(hotline, brings(kind, "x"))
    await settle(hotline)
    file = await only(hotline)
    assert (file.status, file.content_type) == (status, "audio/speex" if status == "kept" else "")


async def test_what_the_platform_has_no_more_is_lost_and_said_once(
    hotline: Hotline, channel: FileChannel, clock: Clock
) -> None:
    await turn(hotline, brings(Kind.IMAGE, "gone"))
    await settle(hotline)
    await settle(hotline)
    file = await only(hotline)
    assert (file.status, file.reason) == ("lost", "平台上已经没有了")
    assert sum("没能存下来" in text for text in await told(hotline, clock, channel)) == 1


async def test_trouble_is_retried_with_growing_pauses_and_given_up_after_three_days(
    hotline: Hotline, channel: FileChannel, clock: Clock
) -> None:
    channel.trouble.extend(SendError("平台繁忙", retryable=True) for _ in range(200))
    await turn(hotline, brings(Kind.IMAGE, "photo"))
    began, tries = clock.now, []
    while (file := await only(hotline)).status == "waiting":
        assert file.next_try_at
        clock.now = max(clock.now, file.next_try_at)
        tries.append((clock.now - began).total_seconds())
        await settle(hotline)
    pauses = [round(later - earlier) for earlier, later in itertools.pairwise(tries)]
    assert pauses == sorted(pauses)
    assert pauses[0] < 10
    assert len(tries) < 30
    assert timedelta(days=3) < clock.now - began < timedelta(days=3.5)
    assert file.status == "lost"
    assert "平台繁忙" in (file.reason or "")


async def test_an_error_of_the_program_is_tried_again_and_not_for_ever(
    hotline: Hotline, channel: FileChannel, clock: Clock
) -> None:
    channel.kept["odd"] = Media(None, "")  # type: ignore[arg-type]
    await turn(hotline, brings(Kind.IMAGE, "odd"))
    await settle(hotline)
    assert (await only(hotline)).status == "waiting"
    clock.forward(days=3, hours=1)
    await settle(hotline)
    assert (await only(hotline)).status == "lost"


async def test_trouble_that_passes_is_forgotten(hotline: Hotline, channel: FileChannel, clock: Clock) -> None:
    channel.trouble.append(SendError("平台繁忙", retryable=True, after=timedelta(minutes=7)))
    # A refused token is for a person to mend, and the file waits for that.
    channel.trouble.append(SendError("平台不认访问令牌", retryable=False, hold=True, alarm=True))
    await turn(hotline, brings(Kind.IMAGE, "photo"))
    await settle(hotline)
    clock.forward(minutes=6)
    await settle(hotline)
    assert len(channel.fetched) == 1
    clock.forward(minutes=2)
    await settle(hotline)
    clock.forward(minutes=2)
    await settle(hotline)
    file = await only(hotline)
    assert (file.status, file.reason) == ("kept", None)
    assert len(channel.fetched) == 3


async def test_a_channel_that_is_switched_off_keeps_its_files_waiting(hotline: Hotline, clock: Clock) -> None:
    await turn(hotline, brings(Kind.IMAGE, "photo"))
    away = hotline.connectors.pop("fake")
    await settle(hotline)
    hotline.connectors["fake"] = away
    clock.forward(minutes=1)
    await settle(hotline)
    assert (await only(hotline)).status == "kept"


async def test_a_storage_that_is_full_loses_nothing(
    hotline: Hotline, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    import shutil

    await turn(hotline, brings(Kind.IMAGE, "photo"))
    real = shutil.disk_usage
    with monkeypatch.context() as full:
        full.setattr(shutil, "disk_usage", lambda path: real(path)._replace(free=1024))
        await settle(hotline)
    file = await only(hotline)
    assert file.status == "waiting"
    assert "HOTLINE_DATA_DIR" in (file.reason or "")
    clock.forward(minutes=1)
    await settle(hotline)
    assert (await only(hotline)).status == "kept"


async def test_while_a_person_speaks_with_the_worker_the_machine_does_not(
    hotline: Hotline, channel: FileChannel, clock: Clock, wang: Staff
) -> None:
    opened = await turn(hotline, replace(brings(Kind.IMAGE, ""), kind=Kind.TEXT, text="人工", payload={}))
    async with hotline.db.transaction() as session:
        ticket = await tickets.get(session, opened.ticket or "")
        await tickets.claim(session, ticket, wang, hotline.clock())
    await turn(hotline, brings(Kind.IMAGE, "gone"))
    await settle(hotline)
    assert (await only(hotline)).status == "lost"
    assert not any("没能存下来" in text for text in await told(hotline, clock, channel))


async def test_nobody_is_pushed_where_we_may_not_push(hotline: Hotline, clock: Clock) -> None:
    hotline.connectors["fake"] = silent = FileChannel(push=False)
    await turn(hotline, brings(Kind.IMAGE, "gone"))
    await settle(hotline)
    assert (await only(hotline)).status == "lost"
    async with hotline.db.reading() as session:
        rows = list(await session.scalars(select(Message.text).where(Message.direction == "out")))
    assert not any("没能存下来" in text for text in rows)
    assert silent.sent == []


async def test_a_recording_is_kept_when_nobody_writes_it_down(hotline: Hotline) -> None:
    turned = await turn(hotline, brings(Kind.VOICE, "memo"))
    assert "打字" in (turned.text or "")
    await settle(hotline)
    file = await only(hotline)
    assert (file.status, file.content_type, file.reason) == ("kept", "audio/amr", None)
    assert await content(hotline, file) == samples.AMR


async def test_the_loop_fetches_as_soon_as_it_is_rung(hotline: Hotline) -> None:
    loop = asyncio.create_task(media.run(hotline))
    try:
        await turn(hotline, brings(Kind.IMAGE, "photo"))
        async with asyncio.timeout(20), contextlib.aclosing(hotline.bell.listen("desk")) as rings:
            async for _ in rings:
                if (await only(hotline)).status == "kept":
                    break
    finally:
        loop.cancel()
        await asyncio.gather(loop, return_exceptions=True)
