"""Small files of each kind, as telephones and offices write them; enough of each for its kind to be known."""

from __future__ import annotations

import io
import zipfile

JPG = b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01" + bytes(200) + b"\xff\xd9"
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154789c6360f8cf500f0003"
    "8601805a347d6b0000000049454e44ae426082"
)
GIF = b"GIF89a\x01\x00\x01\x00\x80\x00\x00" + bytes(30) + b";"
WEBP = b"RIFF\x24\x00\x00\x00WEBPVP8 " + bytes(30)
HEIC = b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic" + bytes(60)
AMR = b"#!AMR\n" + bytes(range(60)) * 4
SILK = b"\x02#!SILK_V3" + bytes(60)
MP3 = b"\xff\xfb\x90\x64" + bytes(400)
TAGGED_MP3 = b"ID3\x04\x00\x00\x00\x00\x00\x00" + MP3
OGG = b"OggS\x00\x02" + bytes(22) + b"\x01\x13OpusHead" + bytes(40)
WAV = b"RIFF\x24\x00\x00\x00WAVEfmt " + bytes(40)
M4A = b"\x00\x00\x00\x1cftypM4A \x00\x00\x00\x00M4A mp42isom" + bytes(60)
MP4 = b"\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00mp42isom" + bytes(60)
MOV = b"\x00\x00\x00\x14ftypqt  \x00\x00\x00\x00qt  " + bytes(60)
PDF = b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n<<>>\nendobj\n%%EOF\n"
TXT = "我在工地干了三个月，老板没给工资。".encode()
GBK = "我在工地干了三个月，老板没给工资。".encode("gb18030")
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(2000)
DOC = _OLE + "WordDocument".encode("utf-16-le") + bytes(500)
XLS = _OLE + "Workbook".encode("utf-16-le") + bytes(500)
INSTALLER = _OLE + "SummaryInformation".encode("utf-16-le") + bytes(500)
OLD_MACRO = DOC + "_VBA_PROJECT".encode("utf-16-le")
PROGRAM = b"MZ\x90\x00" + bytes(300) + b"This program cannot be run in DOS mode"
HTML = b"<!doctype html><script>alert(1)</script>"


def packed(*names: str) -> bytes:
    """A zip with these entries."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name in names:
            archive.writestr(name, "x")
    return out.getvalue()


DOCX = packed("[Content_Types].xml", "_rels/.rels", "word/document.xml")
XLSX = packed("[Content_Types].xml", "_rels/.rels", "xl/workbook.xml")
ZIP = packed("工资条.jpg")
MACRO = packed("[Content_Types].xml", "word/document.xml", "word/vbaProject.bin")
APP = packed("AndroidManifest.xml", "classes.dex")
