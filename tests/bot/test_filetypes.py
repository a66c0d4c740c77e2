"""A file is what is in it: each kind is known, what is none of them or hides a program is not taken."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.filetypes import ENDINGS, Look, fits, kind_of, named
from tests import samples

WORD = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
SHEET = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


def looked(data: bytes, step: int = 1 << 20) -> str | None:
    look = Look()
    for start in range(0, len(data), step):
        look.add(data[start : start + step])
    return look.content_type()


@pytest.mark.parametrize("step", [1, 7, 1 << 20])
@pytest.mark.parametrize(
    ("name", "content_type"),
    [
        ("JPG", "image/jpeg"),
        ("PNG", "image/png"),
        ("GIF", "image/gif"),
        ("WEBP", "image/webp"),
        ("HEIC", "image/heic"),
        ("AMR", "audio/amr"),
        ("SILK", "audio/silk"),
        ("MP3", "audio/mpeg"),
        ("TAGGED_MP3", "audio/mpeg"),
        ("OGG", "audio/ogg"),
        ("WAV", "audio/wav"),
        ("M4A", "audio/mp4"),
        ("MP4", "video/mp4"),
        ("MOV", "video/quicktime"),
        ("PDF", "application/pdf"),
        ("TXT", "text/plain"),
        ("GBK", "text/plain"),
        ("DOC", "application/msword"),
        ("XLS", "application/vnd.ms-excel"),
        ("DOCX", WORD),
        ("XLSX", SHEET),
        ("ZIP", "application/zip"),
        ("INSTALLER", None),
        ("OLD_MACRO", None),
        ("MACRO", None),
        ("APP", None),
        ("PROGRAM", None),
    ],
)
def test_the_kind_is_known_however_it_comes_in(name: str, content_type: str | None, step: int) -> None:
    assert looked(getattr(samples, name), step) == content_type
    assert content_type is None or content_type in ENDINGS


def test_nothing_is_no_file() -> None:
    assert looked(b"") is None


def test_the_beginning_alone_tells_what_is_hopeless() -> None:
    look = Look()
    look.add(samples.PROGRAM + bytes(8000))
    assert look.hopeless()
    fine = Look()
    fine.add(samples.TXT * 200)
    assert not fine.hopeless()


def test_a_page_is_text_and_never_a_page() -> None:
    assert looked(samples.HTML) == "text/plain"
    assert named("x.html", "text/plain") == "x.html.txt"


@given(st.binary(max_size=600), st.integers(1, 50))
def test_any_bytes_are_known_or_refused_and_the_cuts_do_not_matter(data: bytes, step: int) -> None:
    assert looked(data, step) == looked(data)
    assert looked(data) is None or looked(data) in ENDINGS


@pytest.mark.parametrize(
    ("kind", "content_type", "fit"),
    [
        ("image", "image/png", True),
        ("image", "application/pdf", False),
        ("voice", "audio/amr", True),
        ("voice", "video/mp4", True),
        ("voice", "image/png", False),
        ("video", "video/quicktime", True),
        ("video", "image/gif", True),
        ("video", "text/plain", False),
        ("file", "image/heic", True),
        ("file", "application/zip", True),
    ],
)
def test_a_message_carries_only_what_it_says_it_is(kind: str, content_type: str, fit: bool) -> None:
    assert fits(kind, content_type) is fit


@pytest.mark.parametrize("content_type", ENDINGS)
def test_every_type_makes_a_kind_of_message_that_fits(content_type: str) -> None:
    assert fits(kind_of(content_type), content_type)


@pytest.mark.parametrize(
    ("given_name", "content_type", "shown"),
    [
        ("合同.pdf", "application/pdf", "合同.pdf"),
        ("合同.exe", "application/pdf", "合同.exe.pdf"),
        ("", "image/jpeg", "文件.jpg"),
        ("photo.JPEG", "image/jpeg", "photo.jpeg"),
        ("../../etc/passwd", "text/plain", "etcpasswd.txt"),
        ('a"b\r\nSet-Cookie: x.txt', "text/plain", "abSet-Cookie x.txt"),
        ("gpj\u202efdp.exe", "image/jpeg", "gpjfdp.exe.jpg"),
        ("长" * 500, "image/png", "长" * 80 + ".png"),
    ],
)
def test_a_name_says_what_the_file_is(given_name: str, content_type: str, shown: str) -> None:
    assert named(given_name, content_type) == shown


@given(st.text(), st.sampled_from(list(ENDINGS)))
def test_any_name_becomes_a_safe_one(given_name: str, content_type: str) -> None:
    name = named(given_name, content_type)
    assert not set(name) & set('/\\"\r\n\x00')
    assert 0 < len(name) < 100
    assert not name.startswith(".")
