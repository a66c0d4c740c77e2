"""Queues of a platform: emptied by one process, cursor and messages stored together, restarts answer nobody twice."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import delete, select

from bot import conversation, outbox, puller
from bot.dialogue import wording
from bot.hotline import Hotline
from bot.models import Conversation, Cursor, Message, Ticket
from connectors.abilities import Pulled
from connectors.base import Capabilities, Event, Grant, Inbound, Kind, SendError
from tests.conftest import Clock
from tests.fakes import FakeConnector, happens, says

QUEUE = "desk-1"
_numbers = itertools.count(1)


class QueueConnector(FakeConnector):
    """A platform that keeps everything in queues until we fetch it, two at a time."""

    name = "queue"
    every = timedelta(milliseconds=200)

    def __init__(self) -> None:
        super().__init__()
        self.capabilities = Capabilities(
            text_bytes=2048, window=timedelta(hours=48), quota=5, stale_after=timedelta(minutes=10)
        )
        self.waiting: dict[str, list[Inbound]] = defaultdict(list)
        self.pulled: list[tuple[str, str, str]] = []
        self.refusals: deque[SendError] = deque()
        self.page_size = 2
        self.looked = asyncio.Event()
        self.gone: set[str] = set()
        self.lists = True

    async def queues(self) -> Sequence[str]:
        if not self.lists:
            raise SendError("账号列表读不到", retryable=True)
        return [QUEUE]

    async def pull(self, queue: str, cursor: str, ticket: str) -> Pulled:
        self.pulled.append((queue, cursor, ticket))
        self.looked.set()
        if self.refusals:
            raise self.refusals.popleft()
        if queue in self.gone:
            raise SendError("没有这个账号", retryable=False)
        start = int(cursor or 0)
        stop = min(start + self.page_size, len(self.waiting[queue]))
        return Pulled(self.waiting[queue][start:stop], str(stop), more=stop < len(self.waiting[queue]))


@pytest.fixture
def queue(hotline: Hotline) -> QueueConnector:
    found = QueueConnector()
    hotline.connectors["queue"] = found
    return found


@pytest.fixture
async def running(hotline: Hotline, queue: QueueConnector) -> AsyncIterator[None]:
    """The puller as the service runs it."""
    task = asyncio.create_task(puller.run(hotline, queue))
    await queue.looked.wait()
    yield
    hotline.bell.fall_silent()
    await task


def put(queue: QueueConnector, hotline: Hotline, inbound: Inbound, *, ago: float = 0.0, name: str = QUEUE) -> Inbound:
    """The platform's queue has one more; it was sent `ago` seconds before now."""
    sent = replace(inbound, channel="queue", sent_at=hotline.clock() - timedelta(seconds=ago))
    queue.waiting[name].append(sent)
    return sent


async def rows(hotline: Hotline, direction: str) -> list[Message]:
    async with hotline.db.reading() as session:
        found = await session.scalars(select(Message).where(Message.direction == direction).order_by(Message.id))
        return list(found)


async def cursor(hotline: Hotline, name: str = QUEUE) -> str | None:
    async with hotline.db.reading() as session:
        found = await session.get(Cursor, ("queue", name))
        return found.position if found else None


async def until(holds: Callable[[], Awaitable[object]]) -> None:
    """Ask again until it is true; the test's own time limit ends the wait."""
    for _ in range(3000):
        if await holds():
            return
        await asyncio.sleep(0.01)
    pytest.fail("it never came true")


async def test_a_queue_is_emptied_page_by_page_and_everybody_answered_once(
    hotline: Hotline, queue: QueueConnector
) -> None:
    for number in range(5):
        put(queue, hotline, says("你好", f"worker{number}"))
    assert await puller.empty(hotline, queue, QUEUE, "t1") == 5
    assert queue.pulled == [(QUEUE, "", "t1"), (QUEUE, "2", "t1"), (QUEUE, "4", "t1")]
    assert await cursor(hotline) == "5"
    assert [message.status for message in await rows(hotline, "in")] == ["handled"] * 5
    while await outbox.drain(hotline):
        pass
    assert sorted(address for address, _ in queue.sent) == [f"worker{number}" for number in range(5)]


async def test_a_restart_begins_where_the_last_one_ended(hotline: Hotline, queue: QueueConnector) -> None:
    put(queue, hotline, says("你好"))
    await puller.empty(hotline, queue, QUEUE)
    assert await puller.empty(hotline, queue, QUEUE) == 0
    assert queue.pulled[-1] == (QUEUE, "1", "")
    assert len(await rows(hotline, "out")) == 1


async def test_a_cursor_that_was_lost_answers_nobody_twice(hotline: Hotline, queue: QueueConnector) -> None:
    for number in range(3):
        put(queue, hotline, says("人工", f"worker{number}"))
    await puller.empty(hotline, queue, QUEUE)
    while await outbox.drain(hotline):
        pass
    async with hotline.db.transaction() as session:
        await session.execute(delete(Cursor))
    assert await puller.empty(hotline, queue, QUEUE) == 3
    while await outbox.drain(hotline):
        pass
    assert len(queue.sent) == 3
    assert len(await rows(hotline, "in")) == 3
    async with hotline.db.reading() as session:
        assert len((await session.scalars(select(Ticket))).all()) == 3


async def test_one_process_at_a_time_empties_a_queue(hotline: Hotline, queue: QueueConnector) -> None:
    put(queue, hotline, says("你好"))
    lock = f"puller:queue:{QUEUE}"
    assert await hotline.bell.hold(lock, "another process", ttl=timedelta(seconds=30))
    assert await puller.empty(hotline, queue, QUEUE) == 0
    assert queue.pulled == []
    assert await hotline.bell.get(lock) == "another process", "the lock of another is left alone"
    await hotline.bell.delete_if(lock, "another process")
    assert await puller.empty(hotline, queue, QUEUE) == 1
    assert await hotline.bell.get(lock) is None


async def test_the_lock_of_a_process_that_died_falls_off(hotline: Hotline, queue: QueueConnector) -> None:
    put(queue, hotline, says("你好"))
    assert await hotline.bell.hold(f"puller:queue:{QUEUE}", "the dead", ttl=timedelta(milliseconds=150))
    await until(lambda: puller.empty(hotline, queue, QUEUE))
    assert len(await rows(hotline, "out")) == 1


async def test_a_process_that_dies_between_page_and_answers_loses_and_doubles_nothing(
    hotline: Hotline, queue: QueueConnector, clock: Clock
) -> None:
    for number in range(2):
        put(queue, hotline, says("你好", f"worker{number}"))
    # What the puller does first, and then the process is gone.
    page = await queue.pull(QUEUE, "", "")
    await conversation.keep(hotline, *page.messages, at=("queue", QUEUE, page.cursor))
    assert [message.status for message in await rows(hotline, "in")] == ["received"] * 2
    assert await puller.empty(hotline, queue, QUEUE) == 0, "the cursor has moved with the page"
    assert await rows(hotline, "out") == []
    clock.forward(seconds=31)
    assert await conversation.answer_left_over(hotline) == 2
    assert await conversation.answer_left_over(hotline) == 0
    assert len(await rows(hotline, "out")) == 2


async def test_a_puller_that_is_stopped_in_the_middle_leaves_the_rest_to_the_sweep(
    hotline: Hotline, queue: QueueConnector, clock: Clock
) -> None:
    queue.page_size = 40
    for number in range(40):
        put(queue, hotline, says("公司拖欠我三个月工资不给怎么办", f"worker{number}"))
    task = asyncio.create_task(puller.empty(hotline, queue, QUEUE))
    await until(lambda: rows(hotline, "out"))
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    assert await cursor(hotline) == "40"
    clock.forward(seconds=31)
    while await conversation.answer_left_over(hotline):
        pass
    replies = await rows(hotline, "out")
    assert len(replies) == len({message.reply_to for message in replies}) == 40
    assert await hotline.bell.get(f"puller:queue:{QUEUE}") is None


async def test_a_page_that_cannot_be_stored_is_fetched_again(hotline: Hotline, queue: QueueConnector) -> None:
    good = put(queue, hotline, says("你好", "worker0"))
    queue.waiting[QUEUE].append(replace(good, external_id="odd", address="worker1", payload={"x": object()}))
    with pytest.raises(Exception, match="object"):
        await puller.empty(hotline, queue, QUEUE)
    assert await cursor(hotline) is None
    assert await rows(hotline, "in") == []
    queue.waiting[QUEUE].pop()
    assert await puller.empty(hotline, queue, QUEUE) == 1
    assert await cursor(hotline) == "1"


async def test_messages_of_one_worker_are_answered_in_their_order(hotline: Hotline, queue: QueueConnector) -> None:
    queue.page_size = 30
    for turn in ("工伤认定要多久", "人工", "好的"):
        for number in range(5):
            put(queue, hotline, says(turn, f"worker{number}"))
    await puller.empty(hotline, queue, QUEUE)
    heard = {message.id: message for message in await rows(hotline, "in")}
    for conversation_id in {message.conversation_id for message in heard.values()}:
        replies = [each for each in await rows(hotline, "out") if each.conversation_id == conversation_id]
        order = [heard[each.reply_to].text for each in replies if each.reply_to]
        assert order == ["工伤认定要多久", "人工", "好的"]


@pytest.mark.usefixtures("running")
async def test_a_ring_brings_the_messages_with_its_ticket(hotline: Hotline, queue: QueueConnector) -> None:
    put(queue, hotline, says("你好"), name="desk-2")

    async def heard() -> bool:
        await hotline.bell.ring("pull:queue", queue="desk-2", ticket="t9")
        return ("desk-2", "", "t9") in queue.pulled

    await until(heard)
    await until(lambda: rows(hotline, "out"))


@pytest.mark.usefixtures("running")
async def test_what_no_ring_announced_is_found_in_queues_known_and_listed(
    hotline: Hotline, queue: QueueConnector
) -> None:
    put(queue, hotline, says("你好", "zhang"))
    async with hotline.db.transaction() as session:
        session.add(Cursor(channel="queue", queue="desk-3", position="0", updated_at=hotline.clock()))
    put(queue, hotline, says("你好", "li"), name="desk-3")

    async def both() -> bool:
        return len(await rows(hotline, "out")) == 2

    await until(both)
    assert (await cursor(hotline), await cursor(hotline, "desk-3")) == ("1", "1")


async def test_a_platform_that_refuses_is_asked_again_from_the_same_place(
    hotline: Hotline, queue: QueueConnector
) -> None:
    for number in range(4):
        put(queue, hotline, says("你好", f"worker{number}"))
    await puller.empty(hotline, queue, QUEUE)
    put(queue, hotline, says("你好", "late"))
    queue.refusals.append(SendError("忙", retryable=True))
    with pytest.raises(SendError):
        await puller.empty(hotline, queue, QUEUE)
    assert await hotline.bell.get(f"puller:queue:{QUEUE}") is None
    assert await puller.empty(hotline, queue, QUEUE) == 1
    assert queue.pulled[-1][1] == "4"


@pytest.mark.usefixtures("running")
async def test_a_bad_minute_of_the_platform_delays_a_message_and_does_not_lose_its_ring(
    hotline: Hotline, queue: QueueConnector
) -> None:
    queue.refusals.append(SendError("忙", retryable=True))
    put(queue, hotline, says("你好"), name="desk-4")

    async def failed_once() -> bool:
        if queue.refusals:
            await hotline.bell.ring("pull:queue", queue="desk-4", ticket="t4")
        return not queue.refusals

    await until(failed_once)
    await until(lambda: rows(hotline, "out"))
    assert ("desk-4", "", "t4") in queue.pulled


@pytest.mark.usefixtures("running")
async def test_one_queue_that_is_refused_does_not_keep_the_others_waiting(
    hotline: Hotline, queue: QueueConnector
) -> None:
    async with hotline.db.transaction() as session:
        for name in ("a-gone", "b-alive"):
            session.add(Cursor(channel="queue", queue=name, position="0", updated_at=hotline.clock()))
    queue.gone.add("a-gone")
    put(queue, hotline, says("你好"), name="b-alive")
    await until(lambda: rows(hotline, "out"))


@pytest.mark.usefixtures("running")
async def test_known_queues_are_emptied_while_the_platform_lists_none(hotline: Hotline, queue: QueueConnector) -> None:
    queue.lists = False
    async with hotline.db.transaction() as session:
        session.add(Cursor(channel="queue", queue="desk-5", position="0", updated_at=hotline.clock()))
    put(queue, hotline, says("你好"), name="desk-5")
    await until(lambda: rows(hotline, "out"))


async def test_what_was_seen_too_late_goes_to_a_colleague_with_one_note(
    hotline: Hotline, queue: QueueConnector
) -> None:
    for words in ("公司拖欠我三个月工资不给怎么办", "有人吗", "在吗"):
        put(queue, hotline, says(words), ago=3600)
    await puller.empty(hotline, queue, QUEUE)
    [note] = await rows(hotline, "out")
    assert wording.SEEN_LATE in note.text
    async with hotline.db.reading() as session:
        [ticket] = (await session.scalars(select(Ticket))).all()
    assert ticket.reason == "late"
    assert ticket.number in note.text


async def test_danger_is_answered_however_late_it_is_seen(hotline: Hotline, queue: QueueConnector) -> None:
    put(queue, hotline, says("我不想活了"), ago=3600)
    await puller.empty(hotline, queue, QUEUE)
    [reply] = await rows(hotline, "out")
    assert "110" in reply.text


async def test_the_bot_is_silent_while_a_colleague_has_the_session_and_says_so_when_it_is_back(
    hotline: Hotline, queue: QueueConnector
) -> None:
    put(queue, hotline, happens(Event.TAKEN))
    put(queue, hotline, says("在吗"))
    await puller.empty(hotline, queue, QUEUE)
    assert await rows(hotline, "out") == []
    code = replace(happens(Event.RETURNED), grant=Grant("event", 1, timedelta(minutes=10)), payload={"code": "c"})
    put(queue, hotline, code)
    put(queue, hotline, says("你好"))
    await puller.empty(hotline, queue, QUEUE)
    back, hello = await rows(hotline, "out")
    assert back.text == wording.BACK
    assert hello.text != wording.BACK


async def test_a_change_of_hands_is_heeded_also_in_a_flood(hotline: Hotline, queue: QueueConnector) -> None:
    queue.page_size = 100
    for _ in range(hotline.settings.worker_rate + 5):
        put(queue, hotline, says("在吗"))
    put(queue, hotline, happens(Event.TAKEN))
    await puller.empty(hotline, queue, QUEUE)
    async with hotline.db.reading() as session:
        [talk] = (await session.scalars(select(Conversation))).all()
    assert talk.elsewhere_until


async def test_a_reply_that_the_platform_could_not_deliver_is_shown_as_such(
    hotline: Hotline, queue: QueueConnector
) -> None:
    put(queue, hotline, says("你好"))
    await puller.empty(hotline, queue, QUEUE)
    while await outbox.drain(hotline):
        pass
    [reply] = await rows(hotline, "out")
    assert reply.status == "sent"
    lost = Inbound(
        channel="queue",
        external_id=f"lost{next(_numbers)}",
        address="zhang",
        kind=Kind.EVENT,
        sent_at=hotline.clock(),
        event=Event.OTHER,
        payload={"undelivered": reply.id.hex, "note": "消息没有送到：超过 5 条限制"},
    )
    put(queue, hotline, lost)
    put(queue, hotline, replace(lost, external_id="lost-x", payload={"undelivered": "no id of ours"}))
    await puller.empty(hotline, queue, QUEUE)
    [reply] = await rows(hotline, "out")
    assert (reply.status, reply.error) == ("failed", "消息没有送到：超过 5 条限制")
