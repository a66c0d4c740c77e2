"""The dated figures, and the catalogue of calculators that use them."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

import pytest

from knowledge_base import statutes
from knowledge_base.calculators.answers import Value
from knowledge_base.calculators.calculation import Calculator, Refused
from knowledge_base.calculators.catalog import CALCULATORS, for_topic, wanted
from knowledge_base.calculators.parameters import Outdated, parameters, parse
from knowledge_base.calculators.result import DISCLAIMER, LONGEST
from knowledge_base.document import ArticleError
from knowledge_base.topics import vocabulary

TODAY = date(2026, 11, 22)
ONE = """\
a:
  name: 甲
  value: 5
  unit: 元
  valid_from: 2026-01-01
  review_by: 2026-12-31
  document: 文
  checked: 2026-01-01
"""


def answers_to(calculator: Calculator, pick: int) -> dict[str, Value]:
    """Some answer to every question, the `pick`-th choice where there are choices."""
    given: dict[str, Value] = {}
    while (asked := calculator.missing(given)) is not None:
        if asked.kind == "choice":
            keys = list(asked.choices)
            given[asked.name] = keys[pick % len(keys)]
        elif asked.kind == "date":
            late = asked.name in {"leave_date", "end_date", "claim_date"}
            given[asked.name] = date(2026, 9, 30) if late else date(2026, 2, 1)
        elif asked.kind in {"months", "years"}:
            given[asked.name] = max(130, int(asked.low or 0)) if (asked.high or 999) > 130 else 12
        else:
            given[asked.name] = min(Decimal(20), asked.high or Decimal(20)) if asked.low != 100 else Decimal(6000)
            if asked.name == "grade":
                given[asked.name] = Decimal(1 + pick % 10)
    return given


@pytest.mark.parametrize("calculator", CALCULATORS.values(), ids=CALCULATORS)
def test_every_calculator_shows_its_working(calculator: Calculator) -> None:
    known = statutes.statutes()
    topics = vocabulary().topics
    assert {calculator.topic, *calculator.also} <= set(topics)
    for pick in range(10):
        result = calculator.calculate(answers_to(calculator, pick), TODAY, parameters())
        said = result.text()
        assert said.startswith("结果：")
        assert said.endswith(DISCLAIMER)
        assert "怎么算的：" in said
        assert "依据：" in said
        assert len(said) < LONGEST
        for citation in result.citations:
            if citation.articles:
                assert all(known[citation.name].has(article) for article in citation.articles)
        for figure in result.figures:
            assert figure.document in said


@pytest.mark.parametrize("calculator", CALCULATORS.values(), ids=CALCULATORS)
def test_every_question_is_plain_and_can_be_asked(calculator: Calculator) -> None:
    for each in calculator.inputs:
        assert each.question[-1] in "？。）"
        assert len(each.question) < 70
        assert bool(each.choices) == (each.kind == "choice")


def test_a_figure_past_its_date_is_not_used() -> None:
    book = parameters()
    wage = book.parameters["min_wage_monthly"]
    assert book.figure("min_wage_monthly", wage.review_by).value == 2540
    later = wage.review_by + timedelta(days=1)
    with pytest.raises(Outdated, match="这个数到期了，等核对"):
        book.figure("min_wage_monthly", later)
    with pytest.raises(Outdated):
        CALCULATORS["sick_pay"].calculate({"paid": Decimal(0), "months": 1}, later, book)
    with pytest.raises(Outdated):
        CALCULATORS["severance"].calculate(
            {
                "reason": "agreed",
                "hire_date": date(2026, 1, 1),
                "leave_date": wage.review_by,
                "monthly_wage": Decimal(5000),
            },
            later,
            book,
        )


def test_a_figure_says_which_days_it_is_for() -> None:
    book = parse(ONE, "x.yaml")
    day = date(2026, 6, 1)
    assert book.reaching("a", date(2025, 12, 31), day) is None
    assert book.reaching("a", date(2026, 1, 1), day) is not None
    assert str(book.figure("a", day)) == "甲5元（2026年1月起，文）"


@pytest.mark.parametrize("wrong", ["value: 五", "valid_from: 2026-13-01", "checked: "])
def test_a_file_with_a_slip_names_itself(wrong: str) -> None:
    key = wrong.partition(":")[0]
    text = ONE.replace(
        {"value": "value: 5", "valid_from": "valid_from: 2026-01-01", "checked": "checked: 2026-01-01"}[key], wrong
    )
    with pytest.raises(ArticleError, match=r"x\.yaml"):
        parse(text, "x.yaml")


def test_the_figures_agree_with_those_that_articles_may_name() -> None:
    figures = {figure.key: figure.values for figure in vocabulary().figures}
    for key, parameter in parameters().parameters.items():
        if key in figures:
            values = {str(value) for value in parameter.values.values()}
            assert values <= set(figures[key]), key
        assert parameter.checked <= parameter.review_by
        assert parameter.valid_from <= (parameter.valid_to or parameter.valid_from)


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("被辞退了能赔多少钱", "severance"),
        ("N+1怎么算", "severance"),
        ("经济补偿金怎么算", "severance"),
        ("没签合同双倍工资能要多少", "double_pay"),
        ("加班费怎么算", "overtime"),
        ("年假没休能补多少钱", "annual_leave"),
        ("我的工资是不是低于最低工资", "minimum_wage"),
        ("病假工资最少给多少", "sick_pay"),
        ("医疗期有多久", "medical_period"),
        ("工伤八级能赔多少", "injury_grants"),
        ("工亡赔偿多少", "injury_death"),
        ("失业金能领几个月", "unemployment"),
        ("仲裁时效过了没", "arbitration_limit"),
        ("工伤申报最晚到哪天", "injury_limit"),
    ],
)
def test_words_that_call_for_a_sum(text: str, key: str) -> None:
    calculator = wanted(text)
    assert calculator is not None
    assert calculator.key == key
    assert wanted(text, calculator.topic) is calculator


@pytest.mark.parametrize("text", ["公司拖欠工资怎么办", "怎么加入工会", "被辞退了怎么办", "你好", ""])
def test_words_that_call_for_none(text: str) -> None:
    assert wanted(text) is None


@pytest.mark.parametrize(
    ("topic", "text"),
    [
        ("legal.damages_service_period", "打坏东西赔多少"),
        ("legal.noncompete", "竞业限制补偿金怎么算"),
        ("legal.minimum_wage", "北京最低工资标准是多少"),
        ("legal.sick_leave", "医疗期满了单位能解除吗"),
        ("legal.injury_recognition", "工伤认定多长时间出结果"),
    ],
)
def test_a_known_topic_keeps_other_sums_away(topic: str, text: str) -> None:
    assert wanted(text, topic) is None


def test_what_a_topic_offers() -> None:
    assert [each.key for each in for_topic("legal.sick_leave")] == ["sick_pay", "medical_period"]
    assert "severance" in [each.key for each in for_topic("legal.unfair_dismissal")]
    assert not for_topic("membership.join")


def test_defaults_stand_in_where_a_worker_cannot_say() -> None:
    overtime = CALCULATORS["overtime"]
    months = overtime.inputs[-1]
    assert months.parse("不知道", TODAY) == 1
    result = overtime.calculate({"monthly_wage": Decimal(4350), "weekday_hours": Decimal(10)}, TODAY, parameters())
    assert result.total == Decimal("375.00")
    with pytest.raises(Refused) as refused:
        overtime.calculate({"weekday_hours": Decimal(10)}, TODAY, parameters())
    assert refused.value.field == "monthly_wage"
