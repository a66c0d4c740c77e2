"""Each rule of the check, broken by one small article; and the real articles, which must break none."""

from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest
import yaml

from knowledge_base import catalog, neighbours
from knowledge_base.check import Finding, check
from knowledge_base.questions import STYLES
from knowledge_base.statutes import statutes
from knowledge_base.topics import plain_figures, vocabulary

TODAY = date(2026, 11, 22)
MARK = "以当地最新公布为准"
BODY = "能要回来（劳动合同法第30条）。\n\n**现在这样做**\n1. 留证据。\n\n⚠ 一年内。\n"


class Desk:
    """A folder with one sound article, to be spoilt."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.head: dict[str, object] = {
            "id": "legal.wage_arrears",
            "title": "拖欠工资",
            "region": "北京",
            "urgency": "priority",
            "owner": "维权岗",
            "sources": [{"statute": "劳动合同法", "articles": [30, 85]}],
            "checked": "2026-11-22",
            "review_by": "2027-05-22",
            "related": ["legal.legal_aid"],
            "intake": ["employer_name"],
            "follow_ups": {"材料": "合同。"},
        }
        self.asked: dict[str, object] = {
            "topic": "legal.wage_arrears",
            "standard": [
                f"{sign}拖欠工资第{number}种怎么办" for number, sign in enumerate("甲乙丙丁戊己庚辛壬癸子丑寅卯辰")
            ],
            "colloquial": {
                "terse": [f"{sign}不给钱{sign}" for sign in "一二三四五六七八九十百千万亿东南西北春夏秋冬金木水"]
            },
        }
        self.body = BODY

    def write(self, name: str = "legal/wage_arrears") -> None:
        path = self.folder / f"{name}.md"
        path.parent.mkdir(parents=True, exist_ok=True)
        head = yaml.safe_dump(self.head, allow_unicode=True, sort_keys=False)
        path.write_text(f"---\n{head}---\n{self.body}", encoding="utf-8")
        asked = yaml.safe_dump(self.asked, allow_unicode=True, sort_keys=False)
        path.with_suffix(".questions.yaml").write_text(asked, encoding="utf-8")

    def findings(self) -> list[Finding]:
        return [one for one in check(self.folder, TODAY) if one.message != "这个主题还没有条目"]

    def said(self) -> list[tuple[str, str]]:
        self.write()
        return [(one.level, one.message) for one in self.findings()]


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_a_sound_article_has_no_findings_and_missing_topics_are_named(desk: Desk) -> None:
    assert desk.said() == []
    missing = check(desk.folder, TODAY)
    assert len(missing) == len(vocabulary().topics) - 1
    assert {one.level for one in missing} == {"warning"}


@pytest.mark.parametrize(
    ("fields", "level", "said"),
    [
        ({"urgency": "routine"}, "error", "urgency：写的是 routine，主题表里是 priority"),
        ({"region": "上海"}, "error", "region：“上海”"),
        ({"owner": "财务岗"}, "error", "owner：“财务岗”"),
        ({"related": ["legal.nothing"]}, "error", "related：没有“legal.nothing”"),
        ({"related": ["legal.wage_arrears"]}, "error", "related：不要写自己"),
        ({"intake": ["shoe_size"]}, "error", "intake：没有“shoe_size”"),
        ({"follow_ups": {"地址": "某处"}}, "error", "follow_ups：没有“地址”"),
        ({"checked": None}, "error", "checked"),
        ({"checked": "2026-11-23"}, "error", "checked：2026-11-23 还没到"),
        ({"checked": "2026-05-01", "review_by": "2026-11-21"}, "error", "review_by：2026-11-21 已过"),
        ({"review_by": "2026-12-22"}, "warning", "review_by：2026-12-22 前要重新核对"),
        ({"valid_to": "2026-11-21"}, "error", "valid_to：2026-11-21 已过"),
        ({"valid_from": "2027-03-01", "valid_to": "2027-02-01"}, "error", "valid_to 早于 valid_from"),
        ({"title": "一" * 21}, "warning", "title：21 字"),
        ({"follow_ups": {"材料": "一" * 111}}, "warning", "follow_ups.材料：111 字"),
        ({"follow_ups": {"电话": "一" * 61}}, "warning", "follow_ups.电话：61 字，超过 60 字"),
    ],
)
def test_a_wrong_field_is_found(desk: Desk, fields: dict[str, object], level: str, said: str) -> None:
    desk.head |= fields
    assert [(level, True)] == [(found, said in message) for found, message in desk.said()]


@pytest.mark.parametrize(
    ("source", "level", "said"),
    [
        ({"statute": "劳动保护法", "articles": [1]}, "error", "没有“劳动保护法”这部法"),
        ({"statute": "劳动法", "articles": [108]}, "error", "劳动法没有第108条"),
        ({"statute": "民法典侵权责任编", "articles": [1163]}, "error", "没有第1163条（1164至1258）"),
        ({"statute": "民法典", "articles": [1259]}, "error", "民法典没有第1259条"),
        ({"statute": "劳动法"}, "error", "劳动法要写第几条"),
        ({"statute": "工资折算通知", "articles": [1]}, "error", "工资折算通知没有第1条（没有条号）"),
        ({"statute": "劳动法", "articles": [82]}, "warning", "劳动法第82条已被取代，看劳动争议调解仲裁法第27条"),
    ],
)
def test_a_dead_source_is_found(desk: Desk, source: dict[str, object], level: str, said: str) -> None:
    desk.head["sources"] = [{"statute": "劳动合同法", "articles": [30]}, source]
    assert [(level, True)] == [(found, said in message) for found, message in desk.said()]


def test_a_law_not_yet_in_force_when_checked_is_found(desk: Desk) -> None:
    desk.head["checked"] = "2026-05-30"
    desk.head["sources"] = [
        {"statute": "劳动合同法", "articles": [30]},
        {"statute": "超龄劳动者基本权益保障暂行规定", "articles": [3]},
    ]
    assert desk.said() == [("error", "sources：超龄劳动者基本权益保障暂行规定核对时还没施行（2026-07-01）")]


def test_sources_that_stand_are_not_complained_of(desk: Desk) -> None:
    desk.head["sources"] = [
        {"statute": "劳动合同法", "articles": [30, 98]},
        {"statute": "民法典", "articles": [188, 1191]},
        {"statute": "民法典人格权编", "articles": [989, 1039]},
        {"statute": "工资折算通知"},
        {"document": "某通知", "local": True},
    ]
    assert desk.said() == []


@pytest.mark.parametrize(
    "line",
    [
        "最低工资2540元", "最低工资 2,540 元", "最低工资２５４０元", "生活费1778元起", "每小时14.6元", "每小时 27.7 元",
        "终局线30,480元", "打12333问", "仲裁院010-69202199", "仲裁院01069202199", "座机800-810-1117", "室外每月 180 元",
        "五级18个月就业补助金", "陪产假15天", "打12315", "办公室 010-12345678", "手机13800138000",
    ],
)  # fmt: skip
def test_what_may_change_is_not_told_as_certain(desk: Desk, line: str) -> None:
    desk.body = f"{BODY}\n{line}。\n\n{MARK}。\n"
    assert [(level, message[:3]) for level, message in desk.said()] == [("error", "正文：")]
    desk.body = BODY.replace("1. 留证据。", f"1. {line}。\n2. {MARK}。")
    assert [(level, message[:3]) for level, message in desk.said()] == [("error", "正文：")]
    desk.body, desk.head["follow_ups"] = BODY, {"多久": line}
    assert [(level, message[:13]) for level, message in desk.said()] == [("error", "follow_ups.多久")]
    desk.head["follow_ups"] = {"多久": f"{line}（{MARK}）"}
    assert desk.said() == []


@pytest.mark.parametrize(
    "line",
    [
        "打120、110、119 或 12345",
        "到2032年",
        "工号12540",
        "合同18个月",
        "第2540.5号",
        "一年12个月",
        "月计薪21.75天",
        "产假98天，难产加15天",
    ],
)
def test_other_numbers_are_left_alone(desk: Desk, line: str) -> None:
    desk.head["follow_ups"] = {"多久": line}
    assert desk.said() == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("（劳动合同法第31条）", "sources 里没有劳动合同法第31条"),
        ("（劳动合同法第三十一条）", "sources 里没有劳动合同法第31条"),
        ("（劳动合同法第99条）", "劳动合同法没有第99条，最后一条是第98条"),
        ("（劳动合同法第30、31条）", "没有劳动合同法第31条"),
        ("（《中华人民共和国劳动法》第3条）", "sources 里没有劳动法第3条"),
        ("（民事诉讼法第250条）", "认不出是哪部法"),
        ("（劳动争议司法解释（二）第19条）", "sources 里没有劳动争议司法解释二第19条"),
        ("按劳动合同法第31条办", "sources 里没有劳动合同法第31条"),
        ("（第31条）", "sources 里没有哪部法写了这一条"),
    ],
)
def test_a_citation_must_be_among_the_sources(desk: Desk, text: str, said: str) -> None:
    desk.body = f"{BODY}\n这话有根据{text}。\n"
    assert [(level, said in message) for level, message in desk.said()] == [("error", True)]


@pytest.mark.parametrize(
    "text",
    [
        "（劳动合同法第30、85条）", "（合同法第三十条）", "（第85条）", "（同法第85条）", "我按劳动合同法第85条要补偿",
        "有两条路，第一条是调解", "（仲裁法第6条）", "（调解仲裁法第6至8条）", "（女职工规定第5条）",
        "（司法解释（二）第19条）",
        "（民法典第1191条）",
    ],
)  # fmt: skip
def test_the_usual_ways_to_name_a_law_are_understood(desk: Desk, text: str) -> None:
    desk.head["sources"] = [
        {"statute": "劳动合同法", "articles": [30, 85]},
        {"statute": "劳动争议调解仲裁法", "articles": ["6-8"]},
        {"statute": "女职工劳动保护特别规定", "articles": [5]},
        {"statute": "禁止使用童工规定", "articles": [2]},
        {"statute": "劳动争议司法解释二", "articles": [19]},
        {"statute": "民法典侵权责任编", "articles": [1191]},
    ]
    desk.body = f"{BODY}\n这话有根据{text}。\n"
    assert desk.said() == []


def test_a_bare_article_behind_another_law_is_pointed_out(desk: Desk) -> None:
    desk.head["sources"] = [
        {"statute": "劳动合同法", "articles": [30, 85]},
        {"statute": "工会法", "articles": [6]},
    ]
    desk.body = f"{BODY}\n先看工会法第6条，再看第85条。\n"
    (found,) = desk.said()
    assert found[0] == "warning"
    assert "劳动合同法？" in found[1]


@pytest.mark.parametrize(
    "line", ["依据：劳动合同法第30条", "**依据**：劳动合同法第30条", "法律依据:某法", "核对于2026年11月22日"]
)
def test_a_source_line_by_hand_is_refused(desk: Desk, line: str) -> None:
    desk.body = f"{BODY}\n{line}。\n"
    assert ("error", "正文不要手写依据和核对日期，它们由文件头生成") in desk.said()


def test_the_first_paragraph_must_be_the_conclusion(desk: Desk) -> None:
    desk.body = "1. 留证据。\n"
    assert desk.said() == [("error", "正文第一段要是结论")]


def test_length_of_the_whole_reply(desk: Desk) -> None:
    for sentences, expected in ((80, []), (90, ["warning"]), (260, ["warning"]), (290, ["error"])):
        desk.body = f"能。\n\n{'公司不发工资。' * sentences}\n"
        assert [level for level, message in desk.said() if message.startswith("整张卡片")] == expected


def test_a_review_must_come_after_the_check(desk: Desk) -> None:
    desk.head["review_by"] = desk.head["checked"] = "2026-11-22"
    assert ("error", "review_by 要晚于 checked") in desk.said()


def test_an_article_without_sources(desk: Desk) -> None:
    desk.head["sources"] = []
    desk.body = "能要回来。\n"
    assert desk.said() == [("error", "sources 是空的，写明依据")]


def test_an_unknown_topic(desk: Desk) -> None:
    desk.head["id"] = desk.asked["topic"] = "legal.unknown"
    desk.write("legal/unknown")
    assert [(one.path, one.level, one.message) for one in desk.findings()] == [
        ("legal/unknown.md", "error", "id：没有“legal.unknown”这个主题")
    ]


def test_two_articles_on_one_topic(desk: Desk) -> None:
    desk.write()
    desk.write("legal/wage_arrears_again")
    messages = [one.message for one in desk.findings() if one.path == "legal/wage_arrears_again.md"]
    assert messages == [
        "主题 legal.wage_arrears 已经有一篇：legal/wage_arrears.md",
        "文件名和 id 对不上，应当是 legal/wage_arrears.md",
    ]


def test_meta_needs_no_source(desk: Desk) -> None:
    desk.head |= {"id": "meta.greeting", "urgency": "routine", "sources": [], "follow_ups": {}}
    desk.asked["topic"] = "meta.greeting"
    desk.body = "你好。\n"
    desk.write("meta/greeting")
    assert desk.findings() == []


def test_unreadable_files_are_findings_with_their_line(desk: Desk) -> None:
    desk.write()
    (desk.folder / "legal/wage_arrears.md").write_text("---\nid: [\n---\n正文\n", encoding="utf-8")
    (desk.folder / "legal/wage_arrears.questions.yaml").write_bytes(b"\xff\xfe")
    (desk.folder / "legal/alone.questions.yaml").write_text("topic: a.b\n", encoding="utf-8")
    found = [(one.path, one.message) for one in desk.findings()]
    assert [path for path, _ in found] == [
        "legal/alone.questions.yaml", "legal/wage_arrears.md", "legal/wage_arrears.questions.yaml",
    ]  # fmt: skip
    assert "旁边没有同名的条目" in found[0][1]
    assert "行：格式不对" in found[1][1]
    assert "不是 UTF-8" in found[2][1]


def _few(desk: Desk) -> None:
    desk.asked["standard"] = ["一句", "两句"]


def _fewer_than_aimed(desk: Desk) -> None:
    desk.asked["colloquial"] = {"terse": [f"{sign}不给钱" for sign in "一二三四五六七八九十东西"]}


def _style(desk: Desk) -> None:
    desk.asked["colloquial"] = {
        "poem": [f"{sign}不给钱{sign}" for sign in "一二三四五六七八九十百千万亿东南西北春夏秋冬金木水"]
    }


def _short_story(desk: Desk) -> None:
    assert isinstance(desk.asked["colloquial"], dict)
    desk.asked["colloquial"]["story"] = ["太短的经过"]


def _twice(desk: Desk) -> None:
    assert isinstance(desk.asked["standard"], list)
    desk.asked["standard"] = [*desk.asked["standard"], "甲拖欠 工资第0种，怎么办？"]


def _topic(desk: Desk) -> None:
    desk.asked["topic"] = "legal.legal_aid"


@pytest.mark.parametrize(
    ("spoil", "level", "said"),
    [
        (_few, "error", "standard：只有 2 句，最少 12 句"),
        (_fewer_than_aimed, "warning", "colloquial：12 句，最好有 25 句"),
        (_style, "error", f"colloquial：没有“poem”这一类，只有 {'、'.join(STYLES)}"),
        (_short_story, "warning", "story：5 字，应当在 40 到 150 之间：太短的经过"),
        (_twice, "error", "“甲拖欠 工资第0种，怎么办？”和本文件里的重复"),
        (_topic, "error", "topic：写的是 legal.legal_aid，旁边的条目是 legal.wage_arrears"),
    ],
)
def test_questions(desk: Desk, spoil: Callable[[Desk], None], level: str, said: str) -> None:
    spoil(desk)
    assert desk.said() == [(level, said)]


def test_a_missing_questions_file(desk: Desk) -> None:
    desk.write()
    (desk.folder / "legal/wage_arrears.questions.yaml").unlink()
    assert [one.message for one in desk.findings()] == ["缺少问法文件 wage_arrears.questions.yaml"]


def test_the_same_and_nearly_the_same_wording_under_two_topics(desk: Desk) -> None:
    desk.write()
    desk.head |= {"id": "legal.legal_aid", "related": []}
    desk.asked["topic"] = "legal.legal_aid"
    assert isinstance(desk.asked["standard"], list)
    desk.asked["standard"] = [f"{sign}法律援助要哪些材料才能申请呢" for sign in "甲乙丙丁戊己庚辛壬癸子丑寅卯"] + [
        "甲拖欠工资第0种怎么办？"
    ]
    desk.asked["colloquial"] = {
        "speech": [f"请律师{sign}没有钱{sign}" for sign in "一二三四五六七八九十百千万亿东南西北春夏秋冬金木水"]
    }
    desk.write("legal/legal_aid")
    repeated = [one for one in desk.findings() if "重复" in one.message]
    assert [(one.path, one.level) for one in repeated] == [("legal/wage_arrears.questions.yaml", "error")]
    assert "legal/legal_aid.questions.yaml" in repeated[0].message


def test_near_pairs_are_those_that_a_full_comparison_finds() -> None:
    wordings = [
        "公司拖欠我三个月工资怎么办",
        "公司拖欠我三个月工资怎么办呢",
        "公司拖欠他三个月工资怎么办",
        "怎么入会",
        "",
        "会",
    ]
    assert [(one, other) for one, other, _ in neighbours.near_pairs(wordings, 0.8)] == [(0, 1)]
    assert {(one, other) for one, other, _ in neighbours.near_pairs(wordings, 0.6)} == {(0, 1), (0, 2), (1, 2)}


def test_a_wording_among_strangers_is_pointed_out() -> None:
    wordings = [f"失业金{word}怎么领取要哪些材料" for word in ("今年", "在哪", "一般", "每月", "现在", "网上")] + [
        "怎么入会",
        "入会要钱吗",
    ]
    topics = ["a"] * 5 + ["b"] + ["c"] * 2
    assert list(neighbours.strangers(wordings, topics)) == [(5, "a")]


def test_order_does_not_depend_on_the_file_system(desk: Desk) -> None:
    desk.head |= {"urgency": "routine", "region": "上海", "owner": "财务岗"}
    desk.write()
    assert check(desk.folder, TODAY) == sorted(check(desk.folder, TODAY))


def test_vocabulary_holds_together() -> None:
    known = vocabulary()
    assert len(known.topics) == 90
    for topic in known.topics.values():
        assert topic.urgency in known.urgency
        assert set(topic.contacts) <= set(known.hotlines)
        assert set(topic.slots) <= set(known.slots)
    for figure in known.figures:
        assert figure.find
        assert all(figure.stands_in(plain_figures(spelling + "".join(figure.near))) for spelling in figure.find), (
            figure.key
        )


def test_statutes_hold_together() -> None:
    for statute in statutes().values():
        assert statute.version <= statute.effective or statute.name == "北京市工资支付规定"
        assert statute.last == 0 or 1 <= statute.first < statute.last
        assert all(statute.has(number) for number in statute.superseded)


def test_the_real_articles_have_no_errors() -> None:
    """Stands or falls with the articles as they are now; warnings are for the policy desk."""
    assert [one for one in check(catalog.FOLDER, TODAY) if one.level == "error"] == []
