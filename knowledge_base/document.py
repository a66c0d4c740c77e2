"""A YAML text of the knowledge base, read strictly: every value is text, no key twice, none of YAML's types."""

from __future__ import annotations

import re
from collections.abc import Hashable
from typing import Any, cast

import yaml

LONGEST = 60_000
DEEPEST = 500


class ArticleError(ValueError):
    """A file of the knowledge base that cannot be read. The message names the field and is meant for the policy desk.

    `path` is whatever the caller called the text by; `line` counts from 1 and is None where no line is to blame.
    """

    def __init__(self, path: str, message: str, line: int | None = None) -> None:
        self.path = path
        self.line = line
        self.message = message
        where = f"{path} 第 {line} 行" if line else path
        super().__init__(f"{where}：{message}")


class _TextLoader(getattr(yaml, "CBaseLoader", yaml.BaseLoader)):  # type: ignore[misc]
    """The base loader leaves `12333`, `2026-11-22` and `no` as written; a key given twice is a slip."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.MarkedYAMLError(problem="键只能是文字", problem_mark=key.start_mark)
            if key.value in seen:
                raise yaml.MarkedYAMLError(problem=f"“{key.value}”写了两次", problem_mark=key.start_mark)
            seen.add(key.value)
        return cast(dict[Hashable, Any], super().construct_mapping(node, deep=deep))


def read(text: str, path: str, first_line: int = 1) -> dict[str, Any]:
    """The mapping in `text`, its scalars all strings. `first_line` is where the text begins in its file."""
    if len(text) > LONGEST:
        raise ArticleError(path, f"太长，超过 {LONGEST} 个字")
    # libyaml recurses in C without a guard, so what could nest too deep is refused before it is parsed.
    if text.count("[") + text.count("{") > DEEPEST or re.search(r"^(?: *[-?] ){20}", text, re.MULTILINE):
        raise ArticleError(path, "括号或缩进套得太深")
    try:
        found = yaml.load(text, _TextLoader)  # noqa: S506 - builds nothing but text, lists and mappings
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + first_line if error.problem_mark else None
        raise ArticleError(path, f"格式不对，看看引号、冒号和缩进（{error.problem}）", line) from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ArticleError(path, "格式不对，可能有看不见的控制字符") from error
    if not isinstance(found, dict):
        raise ArticleError(path, "应当是一行一个“键: 值”", first_line)
    return found
