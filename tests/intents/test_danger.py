"""What must ring and what must not: by the written rules alone, on every message of the files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from intents.danger import find_danger, read_rules
from intents.engine import Danger
from intents.text import normalise

HERE = Path(__file__).parent


def sheet(name: str) -> Any:
    return yaml.safe_load((HERE / name).read_text(encoding="utf-8"))


RING = [(str(text), Danger(kind)) for kind, texts in sheet("danger_ring.yaml").items() for text in texts]
QUIET = [str(text) for texts in sheet("danger_quiet.yaml").values() for text in texts]


def kind_of(text: str) -> Danger | None:
    heard = find_danger(normalise(text))
    return heard[0] if heard else None


def test_the_files_are_large_enough() -> None:
    assert len({text for text, _ in RING}) >= 170
    assert len(set(QUIET)) >= 320
    assert {kind for _, kind in RING} == set(Danger)


def test_what_must_ring() -> None:
    missed = [text for text, _ in RING if kind_of(text) is None]
    assert len(missed) <= 0.01 * len(RING), missed


def test_the_kind_is_right() -> None:
    # A message may be two kinds at once; the first rule that rings decides.
    other = [(text, kind_of(text)) for text, kind in RING if kind_of(text) not in {kind, None}]
    assert len(other) <= 0.03 * len(RING), other


def test_what_must_not_ring() -> None:
    rang = [(text, kind_of(text)) for text in QUIET if kind_of(text) is not None]
    assert len(rang) <= 0.01 * len(QUIET), rang


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("不给钱我就从塔吊上跳下去", Danger.SELF_HARM),
        ("我要跟老板同归于尽", Danger.HARM_OTHERS),
        ("夹住手了正在流血", Danger.ACCIDENT),
        ("手机没电了我被锁在仓库", Danger.VIOLENCE),
        ("黑工厂有十四岁小孩", Danger.CHILD_LABOUR),
        ("我们三十多个人堵在项目部门口讨薪", Danger.GROUP_PROTEST),
        ("夾住手了，血止不住", Danger.ACCIDENT),
        ("不 想 活 了", Danger.SELF_HARM),
        ("自杀算工伤吗", None),
        ("跳楼价", None),
        ("去年同事跳楼，公司赔了吗", None),
        ("被机器夹断手指赔多少钱", None),
    ],
)
def test_examples(text: str, kind: Danger | None) -> None:
    assert kind_of(text) is kind


def test_a_broken_rule_is_named(tmp_path: Path) -> None:
    path = tmp_path / "danger.yaml"
    path.write_text("words: {}\nkinds: [{kind: self_harm, rules: [{why: 试, say: ['(']}]}]", encoding="utf-8")
    with pytest.raises(ValueError, match="写法读不懂"):
        read_rules(path)


@given(st.text(max_size=500))
def test_any_text_is_heard(text: str) -> None:
    find_danger(normalise(text))


def test_a_very_long_message_is_heard_in_time() -> None:
    story = "老板不发工资我想找人问问怎么办，" * 1300
    assert kind_of(story) is None
    assert kind_of(story[:19_000] + "不想活了") is Danger.SELF_HARM
