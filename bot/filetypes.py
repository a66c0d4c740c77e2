"""What a file is, by what is in it: its name and what its sender says of it count for nothing."""

from __future__ import annotations

import codecs
import re

# Endings for what is handed out again; the keys are all the types that we take.
ENDINGS = {
    "image/jpeg": "jpg",
    "image/png": "png",
    "image/gif": "gif",
    "image/webp": "webp",
    "image/heic": "heic",
    "audio/amr": "amr",
    "audio/silk": "silk",
    "audio/speex": "spx",
    "audio/mpeg": "mp3",
    "audio/ogg": "ogg",
    "audio/wav": "wav",
    "audio/mp4": "m4a",
    "video/mp4": "mp4",
    "video/3gpp": "3gp",
    "video/quicktime": "mov",
    "application/pdf": "pdf",
    "application/msword": "doc",
    "application/vnd.ms-excel": "xls",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
    "application/zip": "zip",
    "text/plain": "txt",
}
ACCEPTED = "图片（jpg、png、gif、webp、heic）、语音、视频（mp4、mov）、pdf、doc、docx、xls、xlsx、txt、zip"

_HEAD = 4096
_BRANDS = {
    b"M4A ": "audio/mp4",
    b"M4B ": "audio/mp4",
    b"qt  ": "video/quicktime",
    **dict.fromkeys((b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1"), "image/heic"),
    **dict.fromkeys((b"isom", b"iso2", b"iso4", b"iso5", b"iso6", b"mp41", b"mp42", b"avc1", b"M4V "), "video/mp4"),
    **dict.fromkeys((b"3gp4", b"3gp5", b"3gp6", b"3gp7", b"3gg6", b"3ge6"), "video/3gpp"),
}
_STARTS = (
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"#!AMR", "audio/amr"),
    (b"#!SILK", "audio/silk"),
    (b"\x02#!SILK", "audio/silk"),
    (b"ID3", "audio/mpeg"),
    (b"OggS", "audio/ogg"),
    (b"%PDF-", "application/pdf"),
    (b"PK\x03\x04", "application/zip"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "application/msword"),
)
_RUNS = (b"MZ", b"\x7fELF", b"#!", b"<", b"PK")
_QUICKTIME = (b"moov", b"mdat", b"wide", b"free", b"skip")
# Names of parts that tell one packed document from another. In the old formats they are UTF-16.
_DOCX, _XLSX = b"word/document.xml", b"xl/workbook.xml"
_DOC, _XLS, _OLD_XLS = ("WordDocument".encode("utf-16-le"), "Workbook".encode("utf-16-le"), "Book".encode("utf-16-le"))
# A colleague who opens one of these runs a stranger's program.
_PROGRAMS = (b"vbaProject.bin", b"AndroidManifest.xml", b"META-INF/MANIFEST.MF", "_VBA_PROJECT".encode("utf-16-le"))
_MARKS = (_DOCX, _XLSX, _DOC, _XLS, _OLD_XLS, *_PROGRAMS)
_OVERLAP = max(map(len, _MARKS)) - 1
_UNREADABLE = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")


class Look:
    """Looks at a file while it goes by; remembers its beginning and which marks were in it."""

    def __init__(self) -> None:
        self.size = 0
        self._head, self._end = bytearray(), b""
        self._marks: set[bytes] = set()
        self._text = True

    def add(self, piece: bytes) -> None:
        self.size += len(piece)
        if len(self._head) < _HEAD:
            self._head += piece[: _HEAD - len(self._head)]
        seen = self._end + bytes(piece)
        self._marks |= {mark for mark in _MARKS if mark not in self._marks and mark in seen}
        self._text = self._text and not _UNREADABLE.search(seen)
        self._end = seen[-_OVERLAP:]

    def hopeless(self) -> bool:
        """Whether the beginning alone says that we do not take it."""
        return len(self._head) >= _HEAD and _by_start(bytes(self._head)) is None and not self._text

    def content_type(self) -> str | None:
        """One of `ENDINGS`, or None: unknown, empty, or with a program in it."""
        found = _by_start(bytes(self._head))
        if self._marks & set(_PROGRAMS):
            return None
        if found == "application/zip":
            return self._packed()
        if found == "application/msword":
            return self._old_office()
        if found is None and self.size and self._text and _is_text(bytes(self._head)):
            return "text/plain"
        return found

    def speech(self, said: str) -> str | None:
        """As `content_type`, for a recording that the platform says (`said`) is bare Speex, which has no beginning."""
        found = self.content_type()
        bare = found is None and self.size and "speex" in said.lower()
        runs = self._marks & set(_PROGRAMS) or self._head.startswith(_RUNS)
        return "audio/speex" if bare and not runs else found

    def _packed(self) -> str:
        for mark, kind in ((_DOCX, "wordprocessingml.document"), (_XLSX, "spreadsheetml.sheet")):
            if mark in self._marks:
                return f"application/vnd.openxmlformats-officedocument.{kind}"
        return "application/zip"

    def _old_office(self) -> str | None:
        """The container also carries installers: it has to hold a text or a sheet."""
        if _DOC in self._marks:
            return "application/msword"
        return "application/vnd.ms-excel" if self._marks & {_XLS, _OLD_XLS} else None


def fits(kind: str, content_type: str) -> bool:
    """Whether a message of this kind (image, voice, video, file) may carry such a file."""
    family = content_type.partition("/")[0]
    match kind:
        case "image":
            return family == "image"
        case "voice":
            # Telephones put recordings into the containers of videos.
            return family == "audio" or content_type in {"video/mp4", "video/3gpp"}
        case "video":
            return family == "video" or content_type == "image/gif"
        case _:
            return True


def kind_of(content_type: str) -> str:
    """The kind of message that such a file makes."""
    family = content_type.partition("/")[0]
    return {"image": "image", "audio": "voice", "video": "video"}.get(family, "file")


def named(name: str, content_type: str) -> str:
    """A file name that says what the file is, whatever its sender called it."""
    bare = re.sub(r'[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069"*/:<>?\\|]', "", name).strip(" .")
    ending = ENDINGS.get(content_type, "bin")
    stem, dot, last = bare.rpartition(".")
    if dot and last.lower() in {ending, "jpeg", "oga", "m4v"}:
        return f"{stem[:80] or '文件'}.{last.lower()}"
    return f"{(bare or '文件')[:80]}.{ending}"


def _by_start(head: bytes) -> str | None:
    for start, content_type in _STARTS:
        if head.startswith(start):
            return content_type
    if head[:4] == b"RIFF":
        return {b"WEBP": "image/webp", b"WAVE": "audio/wav"}.get(head[8:12])
    if head[4:8] == b"ftyp":
        return _BRANDS.get(head[8:12])
    if head[4:8] in _QUICKTIME:
        return "video/quicktime"
    return "audio/mpeg" if _is_mpeg_sound(head) else None


def _is_mpeg_sound(head: bytes) -> bool:
    """A frame of layer III with a bit rate and a sampling rate that exist."""
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE6 != 0xE2:
        return False
    return head[2] >> 4 not in {0, 15} and (head[2] >> 2) & 3 != 3 and head[1] >> 3 & 3 != 1


def _is_text(head: bytes) -> bool:
    """UTF-8 or GB 18030, as telephones and office computers write it; a character cut off at the end is none missed."""
    for name in ("utf-8-sig", "gb18030"):
        try:
            codecs.getincrementaldecoder(name)().decode(head)
        except UnicodeDecodeError:
            continue
        return True
    return False
