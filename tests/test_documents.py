"""The documents against the code: commands, settings, make targets, links, and one content in two languages."""

from __future__ import annotations

import re
import shlex
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any

import pytest
import typer
from pydantic import SecretStr
from pydantic_settings import BaseSettings

from bot.__main__ import app
from bot.settings import Settings
from connectors.telegram_settings import TelegramSettings
from connectors.wechat_settings import WeChatSettings
from connectors.wecom_settings import WeComSettings

ROOT = Path(__file__).resolve().parent.parent
READMES = [ROOT / "README.md", ROOT / "README.zh-CN.md"]
DECISIONS = sorted((ROOT / "docs" / "decisions").glob("*.md"))
DOCUMENTS = [
    *ROOT.glob("*.md"),
    *(ROOT / "docs").glob("*.md"),
    *DECISIONS,
    *(ROOT / "docker").glob("*.md"),
]
SECTIONS: list[type[BaseSettings]] = [Settings, WeChatSettings, WeComSettings, TelegramSettings]

readme = pytest.mark.parametrize("readme", READMES, ids=lambda path: path.name)
document = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))


def _defaults() -> dict[str, str]:
    """Every setting by its full name, with its default as a person writes it."""
    return {
        f"{section.model_config['env_prefix']}{name}".upper(): _written(field.default)
        for section in SECTIONS
        for name, field in section.model_fields.items()
    }


def _written(value: object) -> str:
    match value:
        case None:
            return ""
        case bool():
            return str(value).lower()
        case SecretStr():
            return value.get_secret_value()
        case Enum():
            return str(value.value)
        case _:
            return str(value)


def _paths(command: Any, before: str = "") -> Iterator[str]:
    """Every command that can be run, as `kb check`."""
    for name, child in command.commands.items():
        if hasattr(child, "commands"):
            yield from _paths(child, f"{before}{name} ")
        else:
            yield f"{before}{name}"


COMMANDS = frozenset(_paths(typer.main.get_command(app)))


def _code(text: str) -> str:
    """What stands in code spans and code blocks: prose may use the same words freely."""
    blocks = re.findall(r"^ *```.*?\n(.*?)^ *```", text, re.S | re.M)
    outside = re.sub(r"^ *```.*?^ *```", "", text, flags=re.S | re.M)
    return "\n".join([*blocks, *re.findall(r"`([^`\n]+)`", outside)])


def _named_commands(text: str) -> set[str]:
    """The commands that a document names; what follows a command are its arguments. Fails on one that is none."""
    found = set()
    for line in re.findall(r"(?:^|[\s/=])hotline ((?:[a-z]+ ?)+)", _code(text), re.M):
        words = line.split()
        paths = {" ".join(words[:length]) for length in (1, 2)} & COMMANDS
        assert paths, f"there is no `hotline {line.strip()}`"
        found |= paths
    return found


def _named_settings(text: str) -> set[str]:
    return set(re.findall(r"HOTLINE_[A-Z0-9_]*[A-Z0-9]", text))


def _named_targets(text: str) -> set[str]:
    return set(re.findall(r"(?:^|\s)make ([a-z-]+)", _code(text), re.M))


def _table(text: str) -> dict[str, list[str]]:
    """The rows of all tables whose first cell is code, by that code."""
    rows = {}
    for line in text.splitlines():
        if found := re.match(r"\| `([^`]+)` \|(.*)\|$", line):
            rows[found[1]] = [cell.strip() for cell in found[2].split("|")]
    return rows


@readme
def test_every_setting_stands_in_the_table_with_its_default(readme: Path) -> None:
    rows = {name: cells for name, cells in _table(readme.read_text()).items() if name.startswith("HOTLINE_")}
    assert {name: cells[1].strip("`") for name, cells in rows.items()} == _defaults()
    assert all(cells[0] for cells in rows.values())


@readme
def test_every_command_stands_in_the_table(readme: Path) -> None:
    rows = "\n".join(f"`{name}`" for name in _table(readme.read_text()) if name.startswith("hotline "))
    assert _named_commands(rows) == COMMANDS


@document
def test_a_document_names_only_what_there_is(document: Path) -> None:
    # What stands in a block of Python is an example, and run by a test of its own.
    text = re.sub(r"```python\n.*?```", "", document.read_text(), flags=re.DOTALL)
    _named_commands(text)
    assert _named_settings(text) <= set(_defaults())
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    assert _named_targets(text) <= targets


def test_both_readmes_name_the_same() -> None:
    english, chinese = (path.read_text() for path in READMES)
    for named in (_named_commands, _named_settings, _named_targets):
        assert named(english) == named(chinese)


def test_both_readmes_have_the_same_parts() -> None:
    def parts(text: str) -> list[tuple[str, int]]:
        return [
            (mark, len(found.splitlines()))
            for mark, found in re.findall(r"^ *```(\w*)\n(.*?)^ *```", text, re.S | re.M)
        ]

    english, chinese = (path.read_text() for path in READMES)
    assert parts(english) == parts(chinese)
    assert len(re.findall(r"^## ", english, re.M)) == len(re.findall(r"^## ", chinese, re.M))
    assert _table(english).keys() == _table(chinese).keys()


@readme
def test_every_make_target_is_explained(readme: Path) -> None:
    explained = set(re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.M))
    assert explained <= _named_targets(readme.read_text())


@readme
def test_the_example_of_a_wechat_section_is_whole(
    readme: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the step by step guide writes into .env switches the channel on, once the dots are filled in."""
    block = next(block for block in re.findall(r"```sh\n(.*?)```", readme.read_text(), re.S) if "WECHAT_TOKEN" in block)
    env = tmp_path / ".env"
    env.write_text(re.sub(r"^ +", "", block, flags=re.M).replace("AES_KEY=…", "AES_KEY=" + "A" * 43).replace("…", "x1"))
    monkeypatch.chdir(tmp_path)
    wechat: type[BaseSettings] = WeChatSettings
    section = wechat(_env_file=".env")
    assert isinstance(section, WeChatSettings)
    assert section.configured()
    assert section.mode == "safe"


@document
def test_links_lead_somewhere(document: Path) -> None:
    outside = re.sub(r"^ *```.*?^ *```", "", document.read_text(), flags=re.S | re.M)
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", outside):
        if not target.startswith(("http://", "https://")):
            assert (document.parent / target).exists(), target


@document
def test_a_document_stays_inside_the_project(document: Path) -> None:
    """No path of somebody's machine, no address of a package registry."""
    text = document.read_text()
    assert not re.search(r"(?<![\w.])/(?:work|tmp|root|home)/|\.\./shared", text)
    assert not re.search(r"pypi\.org|pythonhosted|registry\.npmjs|(?<!emit-)index-url", text)


def test_contributing_fits_a_page() -> None:
    assert len((ROOT / "CONTRIBUTING.md").read_text().splitlines()) < 60


def test_decisions_are_numbered_without_gaps() -> None:
    numbers = [path.name[:4] for path in DECISIONS]
    assert numbers == [f"{number:04}" for number in range(1, len(DECISIONS) + 1)]
    for path in DECISIONS:
        text = path.read_text()
        assert text.startswith(f"# {path.name[:4]} ")
        assert re.findall(r"^## (.+)$", text, re.M) == ["Context", "Decision", "Consequences"]


def test_the_changelog_has_this_version() -> None:
    version = re.search(r'^version = "(.+)"', (ROOT / "pyproject.toml").read_text(), re.M)
    newest = re.search(r"^## \[(.+?)\] - \d{4}-\d\d-\d\d$", (ROOT / "CHANGELOG.md").read_text(), re.M)
    assert version
    assert newest
    assert newest[1] == version[1]


def test_the_licence_is_the_one_that_is_declared() -> None:
    text = (ROOT / "LICENSE").read_text()
    assert text.split()[:4] == ["Apache", "License", "Version", "2.0,"]
    assert 'license = "Apache-2.0"' in (ROOT / "pyproject.toml").read_text()


def test_the_backup_command_copies_a_database_in_use(tmp_path: Path) -> None:
    """The command of the READMEs, as it stands, on a database that somebody else has open."""
    commands = {re.search(r"python -c (\".*VACUUM.*\")$", path.read_text(), re.M) for path in READMES}
    lines = {found[1] for found in commands if found}
    assert len(lines) == 1
    (tmp_path / "var").mkdir()
    open_elsewhere = sqlite3.connect(tmp_path / "var" / "hotline.db")
    open_elsewhere.execute("PRAGMA journal_mode=WAL")
    open_elsewhere.execute("CREATE TABLE message (text)")
    open_elsewhere.execute("INSERT INTO message VALUES ('工资')")
    open_elsewhere.commit()
    subprocess.run([sys.executable, "-c", *shlex.split(lines.pop())], cwd=tmp_path, check=True)
    copy = sqlite3.connect(tmp_path / "hotline-backup.db")
    assert copy.execute("SELECT text FROM message").fetchall() == [("工资",)]
    copy.close()
    open_elsewhere.close()
