"""The collection: loading, the round trip through an export, expiry, search, and the commands on top."""

import json
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from knowledge_base import catalog
from knowledge_base.catalog import Catalog, Row
from knowledge_base.cli import kb
from knowledge_base.document import ArticleError

TODAY = date(2026, 11, 22)


def row(topic: str, title: str, body: str, *asked: str, articles: str = "30", review_by: str = "2027-05-22") -> Row:
    head = (
        f"id: {topic}\ntitle: {title}\nregion: 北京\nurgency: routine\nowner: 维权岗\n"
        f"sources: [{{statute: 劳动合同法, articles: [{articles}]}}]\nchecked: 2026-11-22\nreview_by: {review_by}\n"
    )
    standard = "".join(f"  - {one}\n" for one in asked)
    return Row(f"---\n{head}---\n{body}\n", f"topic: {topic}\nstandard:\n{standard}colloquial:\n  terse: [{title}]\n")


ROWS = [
    row("legal.wage_arrears", "公司拖着工资不发", "欠薪要得回来。", "单位拖欠工资怎么办", "三个月没发工资"),
    row(
        "legal.injury_recognition",
        "上班受伤算不算工伤",
        "多半算。",
        "上班路上摔伤算工伤吗",
        "手被机器压了",
        articles="38, 40",
    ),
    row("membership.join", "怎么加入工会", "谁都能入。", "怎么入会", "网上能入会吗", review_by="2026-11-21"),
]


@pytest.fixture
def small() -> Catalog:
    return catalog.from_rows(ROWS)


def write(folder: Path, rows: list[Row]) -> None:
    for one in rows:
        name = one.article.split("\n")[1].removeprefix("id: ").replace(".", "/")
        path = folder / f"{name}.md"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(one.article.encode())
        path.with_suffix(".questions.yaml").write_bytes(one.questions.encode())


def test_lookups(small: Catalog) -> None:
    assert len(small) == 3
    assert {article.id for article in small} == {"legal.wage_arrears", "legal.injury_recognition", "membership.join"}
    assert small.title("legal.wage_arrears") == "公司拖着工资不发"
    assert small.title("legal.mediation") == "劳动争议调解（六方联动）"
    assert small.title("no.topic") == "no.topic"
    assert small.article("legal.mediation") is None
    assert ("怎么入会", "membership.join", "standard") in list(small.wordings())
    assert ("怎么加入工会", "membership.join", "terse") in list(small.wordings())


def test_an_expired_article_is_kept_but_not_served_nor_found(small: Catalog) -> None:
    assert small.article("membership.join") is not None
    assert small.servable("membership.join", TODAY) is None
    assert small.servable("membership.join", date(2026, 11, 21)) is not None
    assert "membership.join" not in dict(small.search("怎么入会", TODAY))
    assert small.search("怎么入会", date(2026, 11, 21))[0][0] == "membership.join"


def test_search_ranks_by_what_is_shared(small: Catalog) -> None:
    ranked = small.search("我三个月没拿到工资，公司一直拖", TODAY, 2)
    assert ranked[0][0] == "legal.wage_arrears"
    assert small.search("机器压了手", TODAY, 1)[0][0] == "legal.injury_recognition"
    assert small.search("天气", TODAY) == []
    assert small.search("", TODAY) == []
    assert catalog.from_rows([]).search("工资", TODAY) == []


@given(st.text(alphabet="工资拖欠受伤机器入会 ab１。"))
def test_scores_are_shares(text: str) -> None:
    scores = [score for _, score in catalog.from_rows(ROWS).search(text, TODAY)]
    assert scores == sorted(scores, reverse=True)
    assert all(0 < score <= 1 for score in scores)


def test_version_follows_content_and_nothing_else(small: Catalog, tmp_path: Path) -> None:
    write(tmp_path, ROWS)
    assert catalog.load(tmp_path).version == small.version
    assert catalog.from_rows(reversed(ROWS)).version == small.version
    changed = [ROWS[0]._replace(questions=ROWS[0].questions + "  speech: [多一句]\n"), *ROWS[1:]]
    assert catalog.from_rows(changed).version != small.version


def test_export_reads_back_byte_for_byte(tmp_path: Path) -> None:
    odd = ROWS[0]._replace(article=ROWS[0].article.replace("\n", "\r\n") + "\n\n")
    write(tmp_path, [odd, *ROWS[1:]])
    before = catalog.load(tmp_path)
    exported = tmp_path / "kb.json"
    exported.write_text(catalog.export(before), encoding="utf-8")
    after = catalog.load(exported)
    assert after.rows() == before.rows()
    assert after.version == before.version
    assert odd in after.rows()


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([ROWS[0], ROWS[0]], "已经有一篇"),
        ([Row(ROWS[0].article, ROWS[1].questions)], "topic 写的是 legal.injury_recognition"),
        ([Row("没有文件头", ROWS[0].questions)], "第 1 篇"),
    ],
)
def test_rows_that_do_not_fit_are_refused(rows: list[Row], said: str) -> None:
    with pytest.raises(ArticleError, match=said):
        catalog.from_rows(rows)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"articles": [{}]}', '{"articles": 1}', "\x00"])
def test_a_file_that_is_no_export_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "kb.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(ArticleError):
        catalog.load(path)
    with pytest.raises(ArticleError):
        catalog.load(tmp_path / "nowhere")


def test_a_folder_without_its_questions_is_refused(tmp_path: Path) -> None:
    write(tmp_path, ROWS)
    (tmp_path / "membership/join.questions.yaml").unlink()
    with pytest.raises(ArticleError, match=r"join\.questions\.yaml"):
        catalog.load(tmp_path)


def run(*arguments: str | Path) -> tuple[int, str]:
    result = CliRunner().invoke(kb, list(map(str, arguments)))
    return result.exit_code, result.output


def test_check_command(tmp_path: Path) -> None:
    write(tmp_path, ROWS)
    code, said = run("check", "--from", tmp_path, "--on", "2026-11-22")
    assert code == 1
    assert "membership/join.md: 错误：review_by：2026-11-21 已过" in said
    assert "legal/wage_arrears.md: 错误：urgency" in said
    assert said.rstrip().endswith("处提醒。")


def test_check_command_passes_when_there_are_only_warnings(tmp_path: Path) -> None:
    code, said = run("check", "--from", tmp_path)
    assert (code, said.splitlines()[-1]) == (0, "0 处错误，90 处提醒。")


def test_list_and_export_commands(tmp_path: Path) -> None:
    write(tmp_path, ROWS)
    code, said = run("list", "--from", tmp_path, "--on", "2026-11-22")
    assert code == 0
    assert "公司拖着工资不发" in said
    assert "2026-11-21（已失效）" in said
    exported = tmp_path / "out.json"
    assert run("export", "--to", exported, "--from", tmp_path)[0] == 0
    assert [one["topic"] for one in json.loads(exported.read_text())["articles"]] == sorted(
        ["legal.wage_arrears", "legal.injury_recognition", "membership.join"]
    )
    assert run("list", "--from", exported)[0] == 0


def test_stats_command_fails_on_too_few_wordings(tmp_path: Path) -> None:
    write(tmp_path, ROWS)
    code, said = run("stats", "--from", tmp_path, "--on", "2026-11-24")
    assert code == 1
    assert "3 篇，9 句问法，平均每句" in said
    assert "不足 12 句：legal.injury_recognition、legal.wage_arrears、membership.join" in said


@pytest.mark.parametrize(
    ("arguments", "topics"),
    [
        (["劳动合同法"], ["legal.injury_recognition", "legal.wage_arrears", "membership.join"]),
        (["中华人民共和国劳动合同法", "38"], ["legal.injury_recognition"]),
        (["劳动合同法", "97"], []),
        (["工会法"], []),
    ],
)
def test_impact_command(tmp_path: Path, arguments: list[str], topics: list[str]) -> None:
    write(tmp_path, ROWS)
    code, said = run("impact", *arguments, "--from", tmp_path)
    assert code == 0
    assert [line.split()[0] for line in said.splitlines()[:-1]] == topics
    assert said.splitlines()[-1] == f"{len(topics)} 篇。"


def test_impact_command_refuses_what_does_not_exist(tmp_path: Path) -> None:
    assert run("impact", "合同法", "--from", tmp_path) == (
        2,
        "没有“合同法”这部法。是不是：劳动合同法、劳动合同法实施条例？\n",
    )
    assert run("impact", "劳动合同法", "99", "--from", tmp_path) == (2, "劳动合同法没有第99条。\n")


def test_commands_on_a_broken_folder_say_where(tmp_path: Path) -> None:
    write(tmp_path, ROWS)
    (tmp_path / "legal/wage_arrears.md").write_text("坏了", encoding="utf-8")
    code, said = run("list", "--from", tmp_path)
    assert code == 2
    assert "legal/wage_arrears.md 第 1 行" in said
    assert "Traceback" not in said
