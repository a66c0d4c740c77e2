"""Files from the web chat: streamed, capped, looked at, kept once, and answered like a message."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select

from bot import media
from bot.api.incoming import Form
from bot.bell import Bell
from bot.dialogue import wording
from bot.errors import HotlineError
from bot.hotline import Hotline
from bot.models import Attachment, Message
from bot.settings import Settings
from bot.settings import settings as settings_of_tests
from tests import samples
from tests.bot.console_seat import browser
from tests.conftest import Clock

ROUTE = "/api/chat/uploads"
MEGABYTE = 1024 * 1024


@pytest.fixture
def configured(tmp_path: Path) -> Settings:
    whole = settings_of_tests()
    # A folder of its own, with the keys of the others.
    keys = ",".join(whole.fernet_keys())
    return whole.model_copy(
        update={"data_dir": tmp_path, "pii_keys": type(whole.pii_keys)(keys), "secret_key": type(whole.pii_keys)("s")}
    )


@pytest.fixture
async def worker(hotline: Hotline) -> AsyncIterator[httpx.AsyncClient]:
    async with browser(hotline) as client:
        assert (await client.post("/api/chat/session")).status_code == 200
        yield client


async def send(
    client: httpx.AsyncClient, data: bytes, name: str = "照片.jpg", key: str | None = None, **headers: str
) -> httpx.Response:
    return await client.post(
        ROUTE,
        data={"id": key or uuid.uuid4().hex},
        files={"file": (name, data, "application/octet-stream")},
        headers=headers,
    )


async def files(hotline: Hotline) -> list[Attachment]:
    async with hotline.db.reading() as session:
        return list(await session.scalars(select(Attachment).order_by(Attachment.id)))


async def messages(hotline: Hotline) -> int:
    async with hotline.db.reading() as session:
        return await session.scalar(select(func.count()).select_from(Message)) or 0


def stored(hotline: Hotline) -> list[Path]:
    return [path for path in (hotline.settings.data_dir / "media").rglob("*") if path.is_file()]


async def content(hotline: Hotline, file: Attachment) -> bytes:
    return b"".join([piece async for piece in hotline.vault.get(file.key or "")])


@pytest.mark.parametrize(
    ("data", "name", "kind", "content_type", "shown"),
    [
        (samples.JPG, "IMG.JPG", "image", "image/jpeg", "IMG.jpg"),
        (samples.HEIC, "IMG_1.HEIC", "image", "image/heic", "IMG_1.heic"),
        (samples.M4A, "录音.m4a", "voice", "audio/mp4", "录音.m4a"),
        (samples.MP4, "现场.mp4", "video", "video/mp4", "现场.mp4"),
        (samples.PDF, "劳动合同.pdf", "file", "application/pdf", "劳动合同.pdf"),
        (samples.PDF, "劳动合同.jpg", "file", "application/pdf", "劳动合同.jpg.pdf"),
    ],
)
async def test_a_file_is_a_message_of_its_kind_with_an_answer(
    hotline: Hotline, worker: httpx.AsyncClient, data: bytes, name: str, kind: str, content_type: str, shown: str
) -> None:
    answer = await send(worker, data, name, "key-1")
    assert answer.status_code == 200, answer.text
    mine, reply = answer.json()["messages"]
    assert (mine["from"], mine["client_id"], mine["kind"], mine["file"]) == ("worker", "key-1", kind, shown)
    assert reply["text"] == wording.KINDS[kind]
    [file] = await files(hotline)
    assert (file.kind, file.content_type, file.size, file.name) == (kind, content_type, len(data), shown)
    assert await content(hotline, file) == data
    while await media.fetch_due(hotline):
        pass
    assert [file.status for file in await files(hotline)] == ["kept"]
    history = (await worker.get("/api/chat/messages")).json()
    assert history["messages"] == answer.json()["messages"]


async def test_the_same_id_is_one_message_and_one_file(hotline: Hotline, worker: httpx.AsyncClient) -> None:
    first = await send(worker, samples.JPG, key="same")
    again = await send(worker, samples.PNG, key="same")
    assert again.json() == first.json()
    together = await asyncio.gather(*(send(worker, samples.PNG, key="other") for _ in range(4)))
    assert len({answer.text for answer in together}) == 1
    assert len(await files(hotline)) == 2
    assert len(stored(hotline)) == 2


async def test_a_file_as_large_as_allowed_is_taken_and_one_byte_more_is_not(
    hotline: Hotline, worker: httpx.AsyncClient
) -> None:
    hotline.settings = hotline.settings.model_copy(update={"file_mb": 1})
    exact = samples.JPG + bytes(MEGABYTE - len(samples.JPG))
    assert (await send(worker, exact)).status_code == 200
    answer = await send(worker, exact + b"x")
    assert answer.status_code == 413
    assert "1 MB" in answer.json()["error"]
    assert len(stored(hotline)) == 1


async def test_what_says_that_it_is_too_large_is_not_read(hotline: Hotline, worker: httpx.AsyncClient) -> None:
    read = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal read
        read += 1
        yield b"x"

    headers = {"content-type": "multipart/form-data; boundary=b", "content-length": str(500 * MEGABYTE)}
    answer = await worker.post(ROUTE, content=body(), headers=headers)
    assert answer.status_code == 413
    assert read == 0


async def test_what_does_not_say_how_large_it_is_is_read_to_the_cap_and_no_further(
    hotline: Hotline, worker: httpx.AsyncClient
) -> None:
    hotline.settings = hotline.settings.model_copy(update={"file_mb": 1})
    read = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal read
        yield b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.jpg"\r\n\r\n' + samples.JPG
        while read < 100 * MEGABYTE:
            read += 65536
            yield bytes(65536)

    answer = await worker.post(ROUTE, content=body(), headers={"content-type": "multipart/form-data; boundary=b"})
    assert answer.status_code == 413
    assert read < 1.2 * MEGABYTE
    assert stored(hotline) == []


async def test_what_is_hopeless_is_refused_at_its_beginning(hotline: Hotline, worker: httpx.AsyncClient) -> None:
    read = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal read
        yield b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.jpg"\r\n\r\n' + samples.PROGRAM
        while read < 10 * MEGABYTE:
            read += 65536
            yield bytes(65536)

    answer = await worker.post(ROUTE, content=body(), headers={"content-type": "multipart/form-data; boundary=b"})
    assert answer.status_code == 415
    assert read < MEGABYTE
    assert stored(hotline) == []


@pytest.mark.parametrize("name", ["PROGRAM", "MACRO", "APP", "INSTALLER"])
async def test_what_we_do_not_take_is_refused_in_words(hotline: Hotline, worker: httpx.AsyncClient, name: str) -> None:
    answer = await send(worker, getattr(samples, name), "合同.pdf")
    assert answer.status_code == 415
    assert "pdf" in answer.json()["error"]
    assert stored(hotline) == []
    assert await messages(hotline) == 0


def part(head: str, body: bytes = b"", boundary: str = "b") -> bytes:
    return f"--{boundary}\r\nContent-Disposition: form-data; {head}\r\n\r\n".encode() + body + b"\r\n"


ID, FILE, END = part('name="id"', b"key-1"), part('name="file"; filename="a.jpg"', samples.JPG), b"--b--\r\n"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"garbage",
        END,
        ID + END,
        FILE + END,
        ID + FILE,
        ID + FILE[:-20],
        ID + part('name="file"; filename="a.jpg"') + END,
        ID + FILE + FILE + END,
        ID + ID + FILE + END,
        part('name="id"', b"a:b") + FILE + END,
        part('name="id"', b"a" * 65) + FILE + END,
        part('name="id"', b"a" * 100_000) + FILE + END,
        part('name="id"', b"\xff\xfe\x00") + FILE + END,
        part("", b"x") + ID + FILE + END,
        b"--b\r\nContent-Disposition\r\n\r\nx\r\n" + END,
        b"--b\r\n" + b"X" * 100_000 + b": y\r\n\r\n",
        b"--b\r\n" + b"X-Many: y\r\n" * 100 + b"\r\n",
    ],
)
async def test_a_broken_form_is_refused_in_words_and_leaves_nothing(
    hotline: Hotline, worker: httpx.AsyncClient, body: bytes
) -> None:
    answer = await worker.post(ROUTE, content=body, headers={"content-type": "multipart/form-data; boundary=b"})
    assert answer.status_code == 422, answer.text
    assert any("\u4e00" <= sign <= "\u9fff" for sign in answer.json()["error"])
    assert stored(hotline) == []
    assert await messages(hotline) == 0


@pytest.mark.parametrize(
    "kind",
    [
        "",
        "application/json",
        "multipart/form-data",
        "multipart/form-data; boundary=",
        "multipart/mixed; boundary=b",
        "multipart/form-data; boundary=" + "b" * 300,
    ],
)
async def test_what_is_no_form_is_refused(worker: httpx.AsyncClient, kind: str) -> None:
    answer = await worker.post(ROUTE, content=ID + FILE + END, headers={"content-type": kind})
    assert answer.status_code == 422


async def test_the_order_of_the_fields_does_not_matter(worker: httpx.AsyncClient) -> None:
    answer = await worker.post(
        ROUTE, content=FILE + ID + END, headers={"content-type": 'multipart/form-data; boundary="b"'}
    )
    assert answer.status_code == 200
    assert answer.json()["messages"][0]["client_id"] == "key-1"


async def test_a_stranger_and_another_site_are_turned_away(hotline: Hotline, worker: httpx.AsyncClient) -> None:
    async with browser(hotline) as nobody:
        assert (await send(nobody, samples.JPG)).status_code == 401
    assert (await send(worker, samples.JPG, **{"Sec-Fetch-Site": "cross-site"})).status_code == 403
    assert (await send(worker, samples.JPG, **{"Sec-Fetch-Site": "same-origin"})).status_code == 200
    assert await messages(hotline) == 2


async def test_more_files_than_people_send_are_stopped_and_another_worker_is_not(
    hotline: Hotline, clock: Clock
) -> None:
    async with browser(hotline, "192.0.2.1") as eager, browser(hotline, "192.0.2.2") as other:
        for client in (eager, other):
            await client.post("/api/chat/session")
        codes = []
        for number in range(62):
            if number == 40:
                clock.forward(minutes=1)
            codes.append((await send(eager, samples.TXT, "a.txt")).status_code)
        assert codes == [200] * 60 + [429] * 2
        assert (await send(other, samples.TXT, "a.txt")).status_code == 200


async def test_without_redis_files_are_taken(hotline: Hotline, worker: httpx.AsyncClient) -> None:
    good, hotline.bell = hotline.bell, Bell("redis://127.0.0.1:1")
    try:
        assert (await send(worker, samples.JPG)).status_code == 200
    finally:
        await hotline.bell.close()
        hotline.bell = good


async def test_a_storage_that_is_away_says_so(hotline: Hotline, worker: httpx.AsyncClient) -> None:
    await asyncio.to_thread((hotline.settings.data_dir / "media").write_text, "in the way")
    answer = await send(worker, samples.JPG)
    assert answer.status_code == 503
    assert await messages(hotline) == 0


async def test_names_are_text_and_nothing_else(worker: httpx.AsyncClient) -> None:
    answer = await send(worker, samples.JPG, "../../<script>alert(1)</script>\u202egpj.exe")
    assert answer.status_code == 200
    assert answer.json()["messages"][0]["file"] == "scriptalert(1)scriptgpj.exe.jpg"


class _Request:
    """As much of a request as a form looks at."""

    def __init__(self, body: bytes, step: int) -> None:
        self.headers = {"content-type": "multipart/form-data; boundary=b"}
        self._parts = [body[at : at + step] for at in range(0, len(body), step)]

    async def stream(self) -> AsyncIterator[bytes]:
        for each in self._parts:
            yield each


async def read(body: bytes, step: int) -> tuple[Any, ...] | str:
    try:
        form = Form(_Request(body, step), 100_000)  # type: ignore[arg-type]
        data = b"".join([piece async for piece in form.pieces()])
    except HotlineError as error:
        return str(error)
    return data, form.fields, form.file_name


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    pieces=st.lists(
        st.sampled_from([ID, FILE, END, b"--b\r\n", b"\r\n", b"\r\n\r\n", b"--b"]) | st.binary(max_size=30)
    ),
    step=st.integers(1, 64),
)
async def test_any_body_is_read_or_refused_and_the_cuts_do_not_matter(pieces: list[bytes], step: int) -> None:
    body = b"".join(pieces)
    assert await read(body, step) == await read(body, 1 << 20)


@settings(max_examples=60, deadline=None)
@given(data=st.binary(min_size=1, max_size=3000), step=st.integers(1, 64))
async def test_a_file_comes_through_byte_for_byte(data: bytes, step: int) -> None:
    if b"\r\n--b" in data:
        return
    found = await read(ID + part('name="file"; filename="a"', data) + END, step)
    assert found == (data, {"id": "key-1"}, "a")
