"""One approved article: what the policy desk wrote, checked for shape and cut into the parts a reply is made of."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from knowledge_base import document, statutes
from knowledge_base.document import ArticleError
from knowledge_base.topics import vocabulary

LOCAL_MARK = "以当地最新公布为准"

SectionKind = Literal["conclusion", "step", "note", "deadline", "bring", "where", "sources"]


@dataclass(frozen=True, slots=True)
class Section:
    """One part of a reply in plain text. A `step` section holds all steps of one heading, a numbered line each."""

    kind: SectionKind
    title: str
    text: str


def _day(value: object) -> date:
    # date.fromisoformat alone would also take 20261122, and pydantic a count of seconds.
    if not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", str(value)):
        raise ValueError("日期写成 2026-11-22 这样")
    try:
        return date.fromisoformat(str(value))
    except ValueError:
        raise ValueError(f"没有 {value} 这一天") from None


def _article_numbers(values: object) -> tuple[int, ...]:
    """Numbers and ranges ("47-48") as one tuple of numbers."""
    if not isinstance(values, list):
        raise ValueError("条号写成 [30, 38, 85] 这样")
    numbers: list[int] = []
    for value in values:
        match = re.fullmatch(r"([0-9]{1,4})(?:[-–~～]([0-9]{1,4}))?", str(value).strip())
        if not match:
            raise ValueError(f"“{value}”不是条号；写成 [30, 38, 85] 或 [47-48]")
        first, last = int(match[1]), int(match[2] or match[1])
        if first > last:
            raise ValueError(f"“{value}”前后颠倒了")
        numbers.extend(range(first, last + 1))
    return tuple(numbers)


Day = Annotated[date, BeforeValidator(_day)]
Word = Annotated[str, Field(min_length=1)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)

    @model_validator(mode="before")
    @classmethod
    def _empty_is_absent(cls, given: Any) -> Any:
        return {key: value for key, value in given.items() if value != ""} if isinstance(given, dict) else given


class Source(_Part):
    """A statute with its articles, or another document. `local`: it changes by place or year."""

    statute: Word | None = None
    articles: Annotated[tuple[int, ...], BeforeValidator(_article_numbers)] = ()
    document: Word | None = None
    date: Day | None = None
    local: bool = False

    @model_validator(mode="after")
    def _is_one_thing(self) -> Source:
        if bool(self.statute) == bool(self.document):
            raise ValueError("每一条写 statute 或 document，二选一")
        if self.articles and not self.statute:
            raise ValueError("条号要跟 statute 写在一起")
        return self


class Handoff(_Part):
    """When this goes to a person. `always`: at once after the answer."""

    when: str = ""
    reason: str = ""
    always: bool = False


class Article(_Part):
    """One topic's answer. `body` is Markdown, `raw` the file as it was written, `path` what errors call it."""

    id: Annotated[str, Field(pattern=r"^[a-z]+\.[a-z_]+$")]
    title: Word
    audience: Annotated[str, Field(alias="for")] = ""
    region: Word
    urgency: Word
    owner: Word
    sources: tuple[Source, ...] = ()
    checked: Day
    review_by: Day
    valid_from: Day | None = None
    valid_to: Day | None = None
    stale_when: str = ""
    related: tuple[Word, ...] = ()
    intake: tuple[Word, ...] = ()
    handoff: Handoff = Handoff()
    follow_ups: dict[str, Word] = {}
    body: Word
    raw: Annotated[str, StringConstraints(strip_whitespace=False)]
    path: str

    @property
    def group(self) -> str:
        return self.id.partition(".")[0]

    @property
    def is_local(self) -> bool:
        """Whether anything in it changes by place or year."""
        return LOCAL_MARK in self.raw or any(source.local for source in self.sources)

    @cached_property
    def sections(self) -> tuple[Section, ...]:
        """The body's parts in the order they were written."""
        return tuple(_sections(self.body))

    def is_valid_on(self, day: date) -> bool:
        """In force, and not past the day by which it had to be checked again."""
        return (self.valid_from or day) <= day <= min(self.valid_to or day, self.review_by)

    def source_line(self) -> str:
        """Where it comes from and when it was checked, as one line for the worker."""
        names: dict[str, list[int]] = {}
        for source in self.sources:
            names.setdefault(_shown(source), []).extend(source.articles)
        basis = "；".join(name + _numbered(numbers) for name, numbers in names.items())
        checked = f"核对于{self.checked.year}年{self.checked.month}月{self.checked.day}日"
        later = f"，此后有变的{LOCAL_MARK}" if self.is_local else ""
        return (f"依据：{basis}。" if basis else "") + f"{checked}{later}。"

    def follow_up(self, key: str) -> str | None:
        """The answer to one follow-up question.

        期限 falls back to the body's ⚠ lines and 电话 to the topic's contacts; anything else unwritten is None.
        """
        if key in self.follow_ups:
            return plain(self.follow_ups[key])
        if key == "期限":
            return "\n".join(section.text for section in self.sections if section.kind == "deadline") or None
        if key == "电话":
            return _contacts(self.id)
        return None


def parse(text: str, path: str) -> Article:
    """The article in `text`. Raises `ArticleError` naming file and field, and nothing else, whatever the text."""
    match = re.match(r"\ufeff?---[ \t]*\n(.*?\n)---[ \t]*(?:\n(.*))?$", text.replace("\r\n", "\n"), re.DOTALL)
    if not match:
        raise ArticleError(path, "开头要有两行 --- 夹着的文件头", 1)
    head, body = match[1], (match[2] or "").strip()
    if not any(_sections(body)):
        raise ArticleError(path, "文件头后面没有正文")
    given = document.read(head, path, first_line=2)
    for key in ("body", "raw", "path", "audience"):
        if key in given:
            raise ArticleError(path, f"没有“{key}”这个字段", _line_of(key, head))
    try:
        return Article.model_validate({**given, "body": body, "raw": text, "path": path})
    except ValidationError as error:
        problems = error.errors(include_url=False, include_context=True)
        fields = [".".join(map(str, problem["loc"])) for problem in problems]
        message = "；".join(dict.fromkeys(map(_problem, fields, map(dict, problems))))
        raise ArticleError(path, message, _line_of(fields[0].partition(".")[0], head)) from error


def plain(markdown: str) -> str:
    """Markdown as a chat bubble can show it: marks gone, links as text with the address behind."""
    text = re.sub(r"\[([^\]\n]+)\]\(([^)\s]+)\)", r"\1（\2）", markdown)
    text = re.sub(r"(\*\*|__|`)(?=\S)(.+?)(?<=\S)\1", r"\2", text)
    text = re.sub(r"^(?:#{1,6}|>)[ \t]+", "", text, flags=re.MULTILINE)
    text = re.sub(r"^[ \t]*[-*+][ \t]+", "· ", text, flags=re.MULTILINE)
    return re.sub(r"[ \t]+$", "", text, flags=re.MULTILINE).strip()


def _problem(field: str, problem: dict[str, Any]) -> str:
    match problem["type"]:
        case "missing" | "string_too_short":
            return f"缺少 {field}"
        case "extra_forbidden":
            return f"没有“{field}”这个字段"
        case "value_error":
            return f"{field}：{problem['ctx']['error']}"
        case "bool_parsing":
            return f"{field}：只能写 true 或 false"
        case "string_pattern_mismatch":
            return f"{field}：写成 组.名 这样，都是小写字母"
        case _:
            return f"{field}：写法不对，照 docs/articles.md 的样子写"


def _line_of(field: str, head: str) -> int | None:
    for number, line in enumerate(head.split("\n"), start=2):
        if line.startswith(f"{field}:"):
            return number
    return None


def _sections(body: str) -> Iterable[Section]:
    """Cut the body at headings, numbered steps, ⚠ lines and blank lines; the first paragraph is the conclusion."""
    blocks: list[tuple[SectionKind, str, list[str]]] = []
    title, gap = "", True
    for line in (raw.strip() for raw in body.split("\n")):
        heading = re.fullmatch(r"(?:#{1,6}[ \t]+(.+?)|\*\*([^*]+)\*\*[：:]?)", line)
        step = re.fullmatch(r"\d{1,2}(?:\.[ \t]+|\.(?=\D)|[、．)）][ \t]*)(.+)", line)
        if heading:
            title = plain(heading[1] or heading[2]).rstrip("：:")
        elif step and blocks and blocks[-1][0] == "step" and not title:
            steps = blocks[-1][2]
            steps.append(f"{len(steps) + 1}. {step[1].strip()}")
        elif step:
            blocks.append(("step", title, [f"1. {step[1].strip()}"]))
        elif line.startswith("⚠"):
            blocks.append(("deadline", title, [line]))
        elif line and (gap or title):
            begun = any(kind != "deadline" for kind, _, _ in blocks)
            blocks.append(("note" if begun else "conclusion", title, [line]))
        elif line:
            blocks[-1][2][-1] += "\n" + line
        gap = not line or bool(heading)
        title = title if gap else ""
    for kind, heading_text, lines in blocks:
        yield Section(kind, heading_text, plain("\n".join(lines)))


def _shown(source: Source) -> str:
    if source.document:
        return source.document
    known = statutes.find(source.statute or "")
    return known[0].shown if known else source.statute or ""


def _numbered(numbers: Iterable[int]) -> str:
    """第30、38至40条; runs of three and more are closed up."""
    runs: list[list[int]] = []
    for number in sorted(set(numbers)):
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    parts = [f"{run[0]}至{run[-1]}" if len(run) > 2 else "、".join(map(str, run)) for run in runs]
    return f"第{'、'.join(parts)}条" if parts else ""


def _contacts(topic: str) -> str | None:
    known = vocabulary()
    if topic not in known.topics or not known.topics[topic].contacts:
        return None
    lines = [known.hotlines[number] for number in known.topics[topic].contacts]
    local = f"（号码{LOCAL_MARK}）" if any(line.local for line in lines) else ""
    return "；".join(line.label for line in lines) + local + "。"
