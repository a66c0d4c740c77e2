"""The time guard: the limit that applies, to the day, and the sentence that comes first when it is near or past."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowledge_base import statutes
from knowledge_base.calculators.dates import find_all
from knowledge_base.calculators.double_pay import still_claimable
from knowledge_base.calculators.periods import span_end
from knowledge_base.deadlines import guard, warning
from knowledge_base.topics import vocabulary

TODAY = date(2026, 3, 11)
TOPICS = sorted(vocabulary().topics)


@pytest.mark.parametrize(
    ("topic", "event", "kind", "last"),
    [
        ("legal.unfair_dismissal", "2025-03-31", "arbitration", "2026-03-31"),
        ("legal.severance_pay", "2024-02-29", "arbitration", "2025-02-28"),
        ("legal.wage_arrears", "2025-05-01", "wages", "2026-05-01"),
        ("legal.injury_recognition", "2026-03-01", "injury_report", "2026-03-31"),
        ("legal.injury_recognition", "2026-02-09", "injury_report", "2026-03-11"),
        ("legal.injury_recognition", "2026-02-08", "injury_report", "2027-02-08"),
        ("legal.labor_inspection", "2024-04-01", "labour_inspection", "2026-04-01"),
        ("legal.award_enforcement", "2026-03-03", "appeal", "2026-03-18"),
        ("legal.injury_assessment", "2026-02-28", "reassessment", "2026-03-15"),
        ("legal.personal_service", "2024-02-29", "court", "2027-02-28"),
        ("legal.no_written_contract", "2025-03-01", "double_pay", "2026-04-01"),
        ("legal.no_written_contract", "2024-08-01", "double_pay", "2026-07-31"),
    ],
)
def test_the_limit_that_runs(topic: str, event: str, kind: str, last: str) -> None:
    deadline = guard(topic, date.fromisoformat(event), TODAY)
    assert deadline is not None
    assert (deadline.kind, deadline.last_day) == (kind, date.fromisoformat(last))
    assert deadline.days_left == (deadline.last_day - TODAY).days
    assert deadline.past


def test_no_limit_where_none_runs_or_nothing_has_happened_yet() -> None:
    assert guard("membership.join", TODAY, TODAY) is None
    assert guard("legal.unfair_dismissal", TODAY + timedelta(days=1), TODAY) is None


def test_every_provision_behind_a_limit_exists() -> None:
    known = statutes.statutes()
    seen = {deadline.citation for topic in TOPICS if (deadline := guard(topic, TODAY, TODAY))}
    assert len(seen) >= 6
    for citation in seen:
        assert all(known[citation.name].has(article) for article in citation.articles)


@given(st.dates(date(2009, 1, 1), date(2030, 1, 1)))
def test_double_pay_runs_out_when_no_day_of_it_can_be_claimed_any_more(hired: date) -> None:
    deadline = guard("legal.no_written_contract", hired, span_end(hired, 23))
    assert deadline is not None
    final = span_end(hired, 12)
    assert still_claimable(deadline.last_day) <= final < still_claimable(deadline.last_day + timedelta(days=1))


@given(st.dates(date(2009, 1, 1), date(2030, 1, 1)))
def test_all_of_the_double_pay_can_be_had_until_the_first_limit(hired: date) -> None:
    deadline = guard("legal.no_written_contract", hired, hired)
    assert deadline is not None
    first = span_end(hired, 1) + timedelta(days=1)
    assert still_claimable(deadline.last_day) <= first
    # Where the month has no such day the guard is a little early, never late.
    assert still_claimable(deadline.last_day + timedelta(days=4)) > first


def test_an_exact_date_near_the_end() -> None:
    said = warning("legal.unfair_dismissal", "2025年3月31日公司把我开除了", TODAY)
    assert said is not None
    assert said.startswith("⚠ 按你说的“2025年3月31日”算，申请仲裁最晚到2026年3月31日，还剩20天")
    assert "第27条" in said


@pytest.mark.parametrize(
    ("event", "says"),
    [
        ("2025-05-11", None),
        ("2025-05-10", "还剩60天"),
        ("2025-03-12", "还剩1天"),
        ("2025-03-11", "就是今天"),
        ("2025-03-10", "可能已经过了"),
    ],
)
def test_at_the_day(event: str, says: str | None) -> None:
    said = warning("legal.unfair_dismissal", f"{event}被辞退", TODAY)
    assert (said is None) if says is None else (said is not None and says in said)


def test_a_past_limit_tells_what_still_can_be_done() -> None:
    said = warning("legal.unfair_dismissal", "前年被开除的，还能告吗", TODAY)
    assert said is not None
    assert "可能已经过了" in said
    assert "先别放弃" in said
    assert "人工" in said
    assert "顺延" not in said
    just = warning("legal.unfair_dismissal", "去年三月七号被开除", TODAY)
    assert just is not None
    assert "顺延" in just


def test_a_vague_date_is_never_certain() -> None:
    month = warning("legal.unfair_dismissal", "去年三月被辞退", TODAY)
    assert month is not None
    assert "2026年3月31日，还剩20天" in month
    assert "2026年3月1日就到期了，可能已经过了" in month
    nearly = warning("legal.injury_recognition", "摔伤快一年了单位一直不报", TODAY)
    assert nearly is not None
    assert "大约在2026年3月12日到" in nearly
    assert "按早的算还剩1天" in nearly
    over = warning("legal.injury_recognition", "摔伤一年多了", TODAY)
    assert over is not None
    assert "可能已经过了" in over
    assert "可能" in (warning("legal.injury_recognition", "去年受的伤", TODAY) or "")


def test_an_unclear_event_is_put_as_an_if() -> None:
    said = warning("legal.unfair_dismissal", "去年四月的事还能管吗", TODAY)
    assert said is not None
    assert "如果“去年四月”就是" in said


def test_wages_have_no_limit_while_somebody_still_works_there() -> None:
    assert warning("legal.wage_arrears", "去年三月的工资一直没给，我还在上班", TODAY) is None
    left = warning("legal.wage_arrears", "去年3月20号离职，工资没给", TODAY)
    assert left is not None
    assert "2026年3月20日，还剩9天" in left
    assert "如果" in (warning("legal.wage_arrears", "去年3月20号的工资没给", TODAY) or "")


def test_of_two_dates_the_one_beside_the_event_counts() -> None:
    said = warning("legal.severance_pay", "2019年3月入职，去年3月20号被辞退，月薪8000", TODAY)
    assert said is not None
    assert "2026年3月20日" in said
    run_on = warning("legal.severance_pay", "去年3月20号被辞退2019年3月入职的", TODAY)
    assert run_on is not None
    assert "2026年3月20日" in run_on


def test_how_long_somebody_worked_is_no_event_except_without_a_contract() -> None:
    assert warning("legal.unfair_dismissal", "工作了一年多被辞退", TODAY) is None
    said = warning("legal.no_written_contract", "干了一年多没签合同", TODAY)
    assert said is not None
    assert "二倍工资" in said
    left = warning("legal.no_written_contract", "2024年8月来的，去年5月10号走的，没签合同", TODAY)
    assert left is not None
    assert "2026年5月10日" in left


@pytest.mark.parametrize(
    ("topic", "text"),
    [
        ("legal.minimum_wage", "北京今年最低工资是多少"),
        ("legal.hours_overtime", "过年上班几倍钱"),
        ("legal.hours_overtime", "大年初一到初三都上班，给多少"),
        ("legal.damages_service_period", "我一月才五千"),
        ("legal.dispatch", "在这儿七年了，退了会不会啥都没有"),
        ("legal.severance_pay", "二〇〇八年前有四年工龄，怎么算"),
        ("legal.severance_pay", "我一五年九月进的公司，这个月底走"),
        ("legal.forced_resignation", "不交社保三年了想走"),
        ("legal.layoff_closure", "公司三月十五号起搬到怀柔"),
        ("legal.injury_compensation", "去年评了八级能赔多少"),
        ("legal.injury_recognition", "今天一个个不接我电话"),
        ("legal.award_enforcement", "昨天一审判下来了，判决书十五天内能上诉吗"),
        ("legal.arbitration_time_limit", "他还在这厂上班，前年克扣的工资现在提算不算晚"),
    ],
)
def test_dates_that_are_no_event_are_left_alone(topic: str, text: str) -> None:
    assert warning(topic, text, TODAY) is None


def test_who_asks_about_the_limit_itself_is_told_even_from_a_vague_date() -> None:
    assert "可能" in (warning("legal.arbitration_time_limit", "前年的事还能告不", TODAY) or "")
    assert warning("legal.wage_deduction", "前年的事还能告不", TODAY) is None


def test_short_limits_speak_only_of_their_own_event() -> None:
    assert "还剩7天" in (warning("legal.award_enforcement", "3月3号收到的裁决书不服", TODAY) or "")
    assert warning("legal.award_enforcement", "去年三月受伤，公司不服", TODAY) is None
    assert "还剩10天" in (warning("legal.injury_assessment", "上周五收到鉴定结论，只有十级", TODAY) or "")
    assert warning("legal.injury_assessment", "去年摔的能评几级", TODAY) is None


def test_the_employers_thirty_days_come_first() -> None:
    said = warning("legal.injury_recognition", "昨天在工地摔了", TODAY)
    assert said is not None
    assert "单位报工伤最晚到2026年4月9日，还剩29天" in said
    assert warning("legal.injury_recognition", "四十天前在工地摔了", TODAY) is None


@pytest.mark.parametrize("text", ["怎么办", "被辞退了", "明天被辞退", "工资5000", "2月30号被辞退", ""])
def test_nothing_is_said_without_a_date(text: str) -> None:
    assert warning("legal.unfair_dismissal", text, TODAY) is None


@given(
    st.one_of(
        st.text(max_size=60),
        st.text(alphabet="去年前三十两快一多月天号个了摔伤离职被辞退收到结论上0123456789年来干", max_size=30),
    ),
    st.sampled_from(TOPICS),
    st.dates(date(2008, 1, 1), date(2035, 1, 1)),
)
def test_any_text_gives_a_sentence_or_silence(text: str, topic: str, today: date) -> None:
    said = warning(topic, text, today)
    if said is not None:
        assert said.startswith("⚠ ")
        assert len(said) < 400
        mentions = find_all(text, today)
        if len(mentions) == 1 and mentions[0].earliest < mentions[0].latest:
            assert "可能" in said or "大约" in said
