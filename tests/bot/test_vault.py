"""Files under seal, in a folder and in a bucket: what is put in comes out, and nobody reads or changes it there."""

from __future__ import annotations

import base64
import os
import secrets
import time
import tracemalloc
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from minio import Minio

from bot.errors import NotFound, Unavailable
from bot.seal import PIECE, Damaged, Sealer
from bot.settings import Settings, SettingsError
from bot.vault import Vault, vault_of

KEY = base64.urlsafe_b64encode(b"k" * 32).decode()
OLD = base64.urlsafe_b64encode(b"o" * 32).decode()
SECRET = b"13812345678 wages owed"


@pytest.fixture(scope="module")
def bucket_url() -> Iterator[str]:
    """An S3 server on loopback, with the bucket `hotline`."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    Minio(f"{host}:{port}", access_key="key", secret_key="secret", secure=False).make_bucket("hotline")
    yield f"http://{host}:{port}"
    server.stop()


def section(tmp_path: Path, url: str = "", keys: str = KEY, bucket: str = "hotline") -> Settings:
    s3 = {"s3_url": url, "s3_bucket": bucket, "s3_key": "key", "s3_secret": "secret"} if url else {}
    return Settings.model_validate({"data_dir": tmp_path, "pii_keys": keys, **s3})


@pytest.fixture(params=["folder", "bucket"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[str], Vault]:
    """The same storage with other keys."""
    url = request.getfixturevalue("bucket_url") if request.param == "bucket" else ""
    return lambda keys: vault_of(section(tmp_path, url, keys))


@pytest.fixture
def vault(opened: Callable[[str], Vault]) -> Vault:
    return opened(KEY)


async def pieces(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


async def taken(vault: Vault, name: str) -> bytes:
    return b"".join([piece async for piece in vault.get(name)])


def fresh() -> str:
    return uuid.uuid4().hex


@pytest.mark.parametrize(
    "parts", [(), (b"",), (b"x",), (b"x" * PIECE,), (b"x" * PIECE, b"y"), (b"xy" * PIECE, b"z" * 3, b"w" * PIECE)]
)
async def test_what_is_put_in_comes_out(vault: Vault, parts: tuple[bytes, ...]) -> None:
    name = fresh()
    assert await vault.put(name, pieces(*parts)) == sum(map(len, parts))
    assert await taken(vault, name) == b"".join(parts)


async def test_six_megabytes_go_through_in_pieces(vault: Vault, tmp_path: Path) -> None:
    whole, name = secrets.token_bytes(6 * 1024 * 1024 + 17), fresh()
    await vault.put(name, pieces(*(whole[at : at + 70_001] for at in range(0, len(whole), 70_001))))
    assert await taken(vault, name) == whole
    assert not list((tmp_path / "media" / "drafts").iterdir())


async def test_a_large_file_is_never_whole_in_memory(tmp_path: Path) -> None:
    vault, name, part = vault_of(section(tmp_path)), fresh(), bytes(PIECE)
    tracemalloc.start()
    try:
        await vault.put(name, pieces(*(part for _ in range(64))))
        async for _ in vault.get(name):
            pass
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 12 * PIECE


async def test_what_lies_there_cannot_be_read(vault: Vault, tmp_path: Path, bucket_url: str) -> None:
    await vault.put(fresh(), pieces(SECRET * 50))
    assert not any(SECRET in file.read_bytes() for file in _files(tmp_path))
    client = Minio(bucket_url.removeprefix("http://"), access_key="key", secret_key="secret", secure=False)
    for item in client.list_objects("hotline", recursive=True):
        response = client.get_object("hotline", item.object_name or "")
        try:
            assert SECRET not in response.read()
        finally:
            response.close()
            response.release_conn()


async def test_only_we_may_open_the_folder(tmp_path: Path) -> None:
    await vault_of(section(tmp_path)).put(fresh(), pieces(SECRET))
    files = _files(tmp_path / "media")
    assert files
    assert all(path.stat().st_mode & 0o077 == 0 for path in files)


async def test_an_old_key_still_opens_and_a_foreign_one_does_not(opened: Callable[[str], Vault]) -> None:
    name = fresh()
    await opened(OLD).put(name, pieces(SECRET))
    assert await taken(opened(f"{KEY},{OLD}"), name) == SECRET
    with pytest.raises(Damaged, match="HOTLINE_PII_KEYS"):
        await taken(opened(KEY), name)


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def _one(tmp_path: Path) -> Path:
    return _files(tmp_path / "media")[0]


@pytest.mark.parametrize("harm", ["flipped", "cut", "piece lost", "pieces swapped", "emptied", "lengthened"])
async def test_what_was_tampered_with_is_not_given_out(tmp_path: Path, harm: str) -> None:
    vault, name = vault_of(section(tmp_path)), fresh()
    await vault.put(name, pieces(secrets.token_bytes(3 * PIECE)))
    file, head, piece = _one(tmp_path), 20, PIECE + 16
    data = bytearray(file.read_bytes())
    match harm:
        case "flipped":
            data[head + 5] ^= 1
        case "cut":
            del data[head + 2 * piece :]
        case "piece lost":
            del data[head : head + piece]
        case "pieces swapped":
            data[head : head + 2 * piece] = data[head + piece : head + 2 * piece] + data[head : head + piece]
        case "emptied":
            data.clear()
        case "lengthened":
            data += b"more"
    file.write_bytes(data)
    with pytest.raises(Damaged):
        await taken(vault, name)


async def test_a_file_in_anothers_place_is_not_given_out(tmp_path: Path) -> None:
    vault, name, other = vault_of(section(tmp_path)), fresh(), fresh()
    await vault.put(name, pieces(SECRET))
    data = _one(tmp_path).read_bytes()
    await vault.put(other, pieces(b"mine"))
    (tmp_path / "media" / other[-2:] / other).write_bytes(data)
    with pytest.raises(Damaged):
        await taken(vault, other)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=300))
async def test_any_other_bytes_are_damaged_and_nothing_else(tmp_path: Path, data: bytes) -> None:
    vault, name = vault_of(section(tmp_path)), fresh()
    place = tmp_path / "media" / name[-2:] / name
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(data)
    with pytest.raises(Damaged):
        await taken(vault, name)


@given(st.lists(st.binary(max_size=50), max_size=20))
def test_how_a_file_is_cut_does_not_change_its_length(parts: list[bytes]) -> None:
    cut, whole = Sealer(b"k" * 32, "n"), Sealer(b"k" * 32, "n")
    in_parts = b"".join([*(cut.add(part) for part in parts), cut.end()])
    at_once = whole.add(b"".join(parts)) + whole.end()
    assert len(in_parts) == len(at_once) == 20 + len(b"".join(parts)) + 16


async def test_what_breaks_off_is_not_kept(vault: Vault, tmp_path: Path) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"x" * PIECE * 2
        raise ConnectionError

    name = fresh()
    with pytest.raises(ConnectionError):
        await vault.put(name, broken())
    with pytest.raises(NotFound):
        await taken(vault, name)
    assert not list((tmp_path / "media" / "drafts").iterdir())


async def test_what_is_dropped_is_gone_and_may_be_dropped_again(vault: Vault) -> None:
    name = fresh()
    await vault.put(name, pieces(SECRET))
    await vault.drop(name)
    await vault.drop(name)
    with pytest.raises(NotFound):
        await taken(vault, name)


@pytest.mark.parametrize("name", ["", "x", "../../../etc/passwd", "A" * 32, "0" * 31, "0" * 33])
async def test_a_name_that_we_did_not_make_is_nothing(vault: Vault, name: str) -> None:
    with pytest.raises(NotFound):
        await vault.put(name, pieces(b"x"))
    with pytest.raises(NotFound):
        await taken(vault, name)


async def test_drafts_of_a_dead_process_are_thrown_away_and_young_ones_stay(vault: Vault, tmp_path: Path) -> None:
    drafts = tmp_path / "media" / "drafts"
    drafts.mkdir(parents=True)
    for name, age in (("old", 2 * 86400), ("young", 60)):
        (drafts / name).write_bytes(b"x")
        os.utime(drafts / name, (time.time() - age, time.time() - age))
    await vault.tidy()
    assert [path.name for path in drafts.iterdir()] == ["young"]


async def test_a_store_that_is_away_says_which_setting_to_look_at(tmp_path: Path, free_port: Callable[[], int]) -> None:
    vault = vault_of(section(tmp_path, f"http://127.0.0.1:{free_port()}"))
    with pytest.raises(Unavailable, match="HOTLINE_S3_URL"):
        await vault.put(fresh(), pieces(b"x"))
    with pytest.raises(Unavailable, match="HOTLINE_S3_URL"):
        await taken(vault, fresh())


async def test_a_bucket_that_is_not_there_is_named(tmp_path: Path, bucket_url: str) -> None:
    vault = vault_of(section(tmp_path, bucket_url, bucket="nobody-made-this"))
    with pytest.raises(Unavailable, match="NoSuchBucket"):
        await vault.put(fresh(), pieces(b"x"))


async def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "media").write_text("in the way")
    with pytest.raises(Unavailable, match="HOTLINE_DATA_DIR"):
        await vault_of(section(tmp_path)).put(fresh(), pieces(b"x"))


@pytest.mark.parametrize(
    ("given_settings", "named"),
    [
        ({"s3_url": "https://s3.example.org"}, "HOTLINE_S3_BUCKET"),
        ({"s3_bucket": "b"}, "HOTLINE_S3_URL"),
        ({"s3_url": "https://s3.example.org", "s3_bucket": "b", "s3_key": "k"}, "HOTLINE_S3_SECRET"),
        ({"s3_url": "s3.example.org", "s3_bucket": "b", "s3_key": "k", "s3_secret": "s"}, "HOTLINE_S3_URL"),
        ({"asr_url": "ftp://asr"}, "HOTLINE_ASR_URL"),
        ({"asr_key": "k"}, "HOTLINE_ASR_URL"),
    ],
)
def test_a_half_set_section_names_what_is_missing(
    given_settings: dict[str, str], named: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bot import settings as module

    for name, value in given_settings.items():
        monkeypatch.setenv(f"HOTLINE_{name.upper()}", value)
    module.settings.cache_clear()
    try:
        with pytest.raises(SettingsError, match=named):
            module.settings()
    finally:
        monkeypatch.undo()
        module.settings.cache_clear()
