"""Worked examples and properties of every sum: what the statutes' own logic gives, at the day and to the 分."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from datetime import date, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowledge_base.calculators.annual_leave import entitlement, share
from knowledge_base.calculators.answers import Value
from knowledge_base.calculators.calculation import Refused
from knowledge_base.calculators.catalog import CALCULATORS
from knowledge_base.calculators.double_pay import owed_days, still_claimable
from knowledge_base.calculators.parameters import Book, parameters
from knowledge_base.calculators.periods import limit_end, span_end
from knowledge_base.calculators.result import LONGEST, Result
from knowledge_base.calculators.severance import service_months
from knowledge_base.calculators.sickness import medical_months
from knowledge_base.calculators.unemployment import most_months

TODAY = date(2026, 11, 22)
WAGES = st.decimals(Decimal(100), Decimal(17_000), places=2)
HIRED = st.dates(date(2008, 1, 1), date(2026, 6, 1))


def book(**known: int) -> Book:
    """The real figures, with some that are not known yet filled in."""
    real = parameters().parameters
    filled = {key: dataclasses.replace(real[key], values={"": Decimal(value)}) for key, value in known.items()}
    return Book({**real, **filled})


def do(key: str, values: Mapping[str, Value], figures: Book | None = None, today: date = TODAY) -> Result:
    result = CALCULATORS[key].calculate(values, today, figures or parameters())
    assert len(result.text()) < LONGEST
    return result


def work(key: str, **values: Value) -> Result:
    return do(key, values)


def severance(reason: str, hired: date, left: date, wage: int | str | Decimal, figures: Book | None = None) -> Result:
    values: dict[str, Value] = {"reason": reason, "hire_date": hired, "leave_date": left, "monthly_wage": Decimal(wage)}
    if reason == "no_notice":
        values["last_month_wage"] = Decimal(8500)
    return do("severance", values, figures)


@pytest.mark.parametrize(
    ("first", "last", "months"),
    [
        ("2019-03-01", "2022-04-30", "3.5"),  # 三年两个月
        ("2019-03-01", "2022-09-30", "4"),  # 三年七个月
        ("2019-03-01", "2026-08-31", "8"),  # exactly seven and a half years
        ("2019-03-01", "2026-08-30", "7.5"),  # a day less
        ("2019-03-01", "2020-02-29", "1"),
        ("2019-03-01", "2020-03-01", "1.5"),  # one day into the second year
        ("2026-01-01", "2026-01-01", "0.5"),
        ("2026-01-02", "2026-01-01", "0"),
    ],
)
def test_years_of_service(first: str, last: str, months: str) -> None:
    assert service_months(date.fromisoformat(first), date.fromisoformat(last)) == Decimal(months)


def test_compensation_of_each_kind() -> None:
    hired, left = date(2019, 3, 1), date(2026, 8, 31)
    for reason in ("agreed", "notice", "layoff", "expired", "forced", "unsure"):
        assert severance(reason, hired, left, 8000).total == Decimal("64000.00")
    assert severance("no_notice", hired, left, 8000).total == Decimal("72500.00")
    assert severance("unlawful", hired, left, 8000).total == Decimal("128000.00")
    for reason in ("own", "fault"):
        assert severance(reason, hired, left, 8000).total == 0
    assert "128000元" in severance("unsure", hired, left, 8000).headline


def test_low_pay_counts_as_the_minimum_wage_and_says_which() -> None:
    result = severance("agreed", date(2024, 9, 1), date(2026, 8, 31), 2000)
    assert result.total == Decimal("5080.00")
    assert "2540元" in result.text()
    assert "2025年9月起" in result.text()
    earlier = severance("agreed", date(2020, 9, 1), date(2024, 8, 31), 2000)
    assert earlier.ask_person
    assert earlier.total == Decimal("8000.00")


def test_the_cap_and_its_twelve_years() -> None:
    known = book(severance_cap_base=12_000)
    hired, left = date(2010, 1, 1), date(2026, 6, 30)
    assert severance("agreed", hired, left, 36_000, known).total == Decimal(36_000) * 17
    assert severance("agreed", hired, left, "36000.01", known).total == Decimal(36_000) * 12
    assert severance("unlawful", hired, left, 90_000, known).total == Decimal(36_000) * 24
    eleven = severance("agreed", date(2015, 7, 1), left, 90_000, known)
    assert eleven.total == Decimal(36_000) * 11


def test_without_the_cap_figure_high_pay_goes_to_a_person() -> None:
    result = severance("agreed", date(2015, 1, 1), date(2026, 6, 30), 45_000)
    assert result.total is None
    assert "人工" in result.text()
    assert severance("agreed", date(2015, 1, 1), date(2026, 6, 30), 35_000).total is not None


def test_years_before_2008_are_left_to_a_person_and_said_so() -> None:
    result = severance("layoff", date(2005, 3, 1), date(2026, 2, 28), 6000)
    assert result.total == Decimal(6000) * Decimal("18.5")
    assert "2008年以前" in result.text()
    assert result.ask_person
    assert 97 in result.citations[0].articles
    # The damages for unlawful dismissal count from the first day (实施条例第25条).
    assert severance("unlawful", date(2005, 3, 1), date(2026, 2, 28), 6000).total == Decimal(6000) * 42
    whole = severance("layoff", date(2008, 1, 1), date(2026, 2, 28), 6000)
    assert whole.total == result.total
    assert not whole.ask_person


@given(HIRED, st.integers(0, 3000), st.integers(0, 200), WAGES, WAGES)
def test_compensation_grows_with_time_and_with_pay(
    hired: date, days: int, more: int, wage: Decimal, other: Decimal
) -> None:
    left = TODAY - timedelta(days=min(days, (TODAY - hired).days))
    later = min(left + timedelta(days=more), TODAY)
    low, high = sorted((wage, other))
    totals = [severance("agreed", hired, day, pay).total for day, pay in ((left, low), (later, low), (later, high))]
    assert all(isinstance(total, Decimal) and total == total.quantize(Decimal("0.01")) for total in totals)
    assert totals == sorted(totals)  # type: ignore[type-var]


def test_nonsense_is_refused_with_the_input_to_ask_again() -> None:
    for values, field in (
        ({"hire_date": date(2026, 5, 1), "leave_date": date(2026, 4, 1)}, "leave_date"),
        ({"hire_date": date(1960, 5, 1), "leave_date": date(2026, 4, 1)}, "hire_date"),
        ({"hire_date": date(2006, 5, 1), "leave_date": date(2016, 4, 1)}, "leave_date"),
        ({"hire_date": date(2027, 5, 1), "leave_date": date(2027, 6, 1)}, "hire_date"),
        ({"hire_date": date(2020, 5, 1), "leave_date": date(2028, 6, 1)}, "leave_date"),
        ({"monthly_wage": Decimal(10_000_000)}, "monthly_wage"),
        ({"monthly_wage": Decimal(-5)}, "monthly_wage"),
        ({"monthly_wage": Decimal("NaN")}, "monthly_wage"),
        ({"reason": "nonsense"}, "reason"),
    ):
        good: dict[str, Value] = {
            "reason": "agreed",
            "hire_date": date(2020, 1, 1),
            "leave_date": date(2026, 1, 1),
            "monthly_wage": Decimal(5000),
        }
        with pytest.raises(Refused) as refused:
            do("severance", {**good, **values})
        assert refused.value.field == field
        assert refused.value.reason
    with pytest.raises(Refused, match="还差一样"):
        work("severance", reason="agreed")


def double(hired: date, status: str, wage: int = 5000, today: date = TODAY, **more: Value) -> Result:
    values: dict[str, Value] = {"hire_date": hired, "status": status, "monthly_wage": Decimal(wage), **more}
    return do("double_pay", values, today=today)


def test_double_pay_runs_from_the_second_month_to_the_eleventh_and_last() -> None:
    hired = date(2026, 3, 1)
    assert owed_days(hired, date(2026, 3, 31)) is None
    assert owed_days(hired, date(2026, 9, 30)) == (date(2026, 4, 1), date(2026, 9, 30))
    assert owed_days(hired, date(2030, 1, 1)) == (date(2026, 4, 1), date(2027, 2, 28))
    # Signed after seven months: six months of double pay.
    assert double(hired, "signed", end_date=date(2026, 10, 1)).total == Decimal("30000.00")
    assert double(date(2026, 11, 1), "working").total == 0
    # Eleven months in full, claimed while every day is within its year.
    assert double(date(2025, 10, 22), "working", today=date(2026, 10, 22)).total == Decimal("55000.00")


def test_part_months_count_working_days() -> None:
    # 1 to 10 April 2026 has eight Mondays to Fridays.
    result = double(date(2026, 3, 1), "left", wage=2175, end_date=date(2026, 4, 10))
    assert result.total == Decimal("800.00")


def test_a_year_is_counted_back_from_the_claim_day_by_day() -> None:
    assert still_claimable(date(2026, 11, 22)) == date(2025, 11, 22)
    assert still_claimable(date(2024, 2, 29)) == date(2023, 3, 1)
    hired, claim = date(2025, 3, 1), date(2026, 9, 15)
    result = double(hired, "working", today=claim)
    # 15 September 2025 to 28 February 2026: five months and the working days from the 15th of February on.
    assert result.total == (Decimal(5000) * 5 + Decimal(5000) * 10 / Decimal("21.75")).quantize(Decimal("0.01"))
    assert "一天天在减" in result.text()
    gone = double(date(2023, 3, 1), "working")
    assert gone.total == 0
    assert "可能过了时效" in gone.headline
    assert gone.ask_person


@given(st.dates(date(2008, 1, 1), date(2030, 1, 1)))
def test_the_claim_reaches_exactly_the_days_that_have_not_run_out(claim: date) -> None:
    earliest = still_claimable(claim)
    assert limit_end(earliest, years=1) >= claim
    assert limit_end(earliest - timedelta(days=1), years=1) < claim


@given(HIRED, st.integers(0, 800), st.integers(0, 90))
def test_double_pay_grows_with_time_and_never_passes_eleven_months(hired: date, days: int, more: int) -> None:
    first = hired + timedelta(days=days)
    # Claimed on the very day, when nothing has run out yet for anybody who is within the first thirteen months.
    totals = []
    for end in (first, first + timedelta(days=more)):
        end = min(end, span_end(hired, 13))  # noqa: PLW2901 - later days have begun to run out
        totals.append(double(hired, "left", today=end, end_date=end).total)
    assert all(isinstance(total, Decimal) and 0 <= total <= 55_000 for total in totals)
    assert totals == sorted(totals)  # type: ignore[type-var]


def overtime(wage: str, weekday: str = "0", restday: str = "0", holiday: str = "0", months: int = 1) -> Result:
    hours = {"weekday_hours": weekday, "restday_hours": restday, "holiday_hours": holiday}
    values: dict[str, Value] = {name: Decimal(value) for name, value in hours.items()}
    return work("overtime", monthly_wage=Decimal(wage), months=months, **values)


def test_overtime_at_each_rate() -> None:
    # 4350 a month is 200 a day and 25 an hour.
    assert overtime("4350", weekday="10").total == Decimal("375.00")
    assert overtime("4350", restday="8").total == Decimal("400.00")
    assert overtime("4350", holiday="8").total == Decimal("600.00")
    assert overtime("4350", "10", "8", "8", months=3).total == Decimal("4125.00")
    assert overtime("2000", weekday="10").total == overtime("2540", weekday="10").total
    assert "违法" in overtime("4350", weekday="37").text()
    assert "违法" not in overtime("4350", weekday="36").text()


def test_overtime_that_cannot_be_is_refused() -> None:
    for hours in (("0", "0", "0"), ("400", "400", "0"), ("-1", "0", "0"), ("501", "0", "0")):
        with pytest.raises(Refused):
            overtime("5000", *hours)


@given(WAGES, st.integers(1, 100), st.integers(0, 100), st.integers(0, 48))
def test_overtime_is_exact_until_the_end(wage: Decimal, weekday: int, restday: int, holiday: int) -> None:
    total = overtime(str(wage), str(weekday), str(restday), str(holiday)).total
    assert isinstance(total, Decimal)
    base = max(wage, Decimal(2540))
    exact = base * (Decimal("1.5") * weekday + 2 * restday + 3 * holiday) / Decimal(174)
    assert abs(total - exact) <= Decimal("0.005") + Decimal("1e-20")


@pytest.mark.parametrize(
    ("months", "days"), [(0, 0), (11, 0), (12, 5), (119, 5), (120, 10), (239, 10), (240, 15), (600, 15)]
)
def test_days_of_annual_leave(months: int, days: int) -> None:
    assert entitlement(months) == days


def test_leave_for_part_of_a_year_is_cut_to_whole_days() -> None:
    # 181 days of 365: 2.47 of five days, 4.95 of ten.
    assert share(Decimal(5), date(2026, 1, 1), date(2026, 6, 30), Decimal(0)) == 2
    assert share(Decimal(10), date(2026, 1, 1), date(2026, 6, 30), Decimal(1)) == 3
    assert share(Decimal(5), date(2026, 1, 1), date(2026, 6, 30), Decimal(5)) == 0
    # 73 of 365 days are exactly one day of five; a day less is none.
    assert share(Decimal(5), date(2026, 1, 1), date(2026, 3, 14), Decimal(0)) == 1
    assert share(Decimal(5), date(2026, 1, 1), date(2026, 3, 13), Decimal(0)) == 0
    assert share(Decimal(15), date(2024, 1, 1), date(2024, 12, 31), Decimal(0)) == 15


def test_pay_for_leave_that_was_not_given() -> None:
    common: dict[str, Value] = {"monthly_wage": Decimal(8700), "taken": Decimal(0)}
    whole = work("annual_leave", worked=36, status="whole", **common)
    assert whole.total == Decimal("4000.00")  # 400 a day, five days, 200 per cent on top
    left = work("annual_leave", worked=126, status="left", leave_date=date(2026, 6, 30), **common)
    assert left.total == Decimal("3200.00")
    joined = work("annual_leave", worked=36, status="joined", join_date=date(2026, 7, 1), **common)
    assert joined.total == Decimal("1600.00")
    both: dict[str, Value] = {"join_date": date(2026, 2, 1), "leave_date": date(2026, 6, 30)}
    assert work("annual_leave", worked=240, status="both", **both, **common).total == Decimal("4800.00")
    assert work("annual_leave", worked=11, status="whole", **common).total == 0
    with pytest.raises(Refused):
        work("annual_leave", worked=240, status="both", **{**both, "join_date": date(2025, 2, 1)}, **common)


def test_minimum_wage_by_month_and_by_hour() -> None:
    assert work("minimum_wage", form="monthly", monthly_pay=Decimal(2200), months=6).total == Decimal("2040.00")
    assert work("minimum_wage", form="monthly", monthly_pay=Decimal(2540), months=6).total == 0
    assert work("minimum_wage", form="hourly", hourly_pay=Decimal(14), hours=Decimal(100)).total == Decimal("60.00")
    assert work("minimum_wage", form="part_time", hourly_pay=Decimal(25), hours=Decimal(40)).total == Decimal("108.00")
    holiday = work("minimum_wage", form="part_time_holiday", hourly_pay=Decimal(60), hours=Decimal(4))
    assert holiday.total == Decimal("20.40")


def test_sick_pay_floor() -> None:
    assert work("sick_pay", paid=Decimal(1500), months=3).total == Decimal("1596.00")
    assert work("sick_pay", paid=Decimal(2032)).total == 0


@pytest.mark.parametrize(
    ("worked", "here", "months"),
    [
        (119, 59, 3),
        (119, 60, 6),
        (120, 59, 6),
        (120, 60, 9),
        (180, 119, 9),
        (180, 120, 12),
        (240, 180, 18),
        (300, 239, 18),
        (300, 240, 24),
    ],
)
def test_medical_period(worked: int, here: int, months: int) -> None:
    assert medical_months(worked, here) == months
    assert work("medical_period", worked=worked, here=here).total == months


def test_nobody_has_worked_longer_here_than_in_all() -> None:
    with pytest.raises(Refused):
        work("medical_period", worked=12, here=13)


@pytest.mark.parametrize(
    ("grade", "months"), [(1, 27), (2, 25), (3, 23), (4, 21), (5, 18), (6, 16), (7, 13), (8, 11), (9, 9), (10, 7)]
)
def test_injury_lump_sums(grade: int, months: int) -> None:
    leaving: dict[str, Value] = {"leaving": "no"} if grade >= 5 else {}
    result = work("injury_grants", grade=Decimal(grade), monthly_wage=Decimal(10_000), **leaving)
    assert result.total == Decimal(10_000) * months


def test_injury_grants_on_leaving_are_money_only_when_the_average_is_known() -> None:
    values: dict[str, Value] = {"grade": Decimal(7), "monthly_wage": Decimal(10_000), "leaving": "yes"}
    unknown = work("injury_grants", **values)
    assert unknown.total == Decimal("130000.00")
    assert "24个月社平工资" in unknown.headline
    assert unknown.ask_person
    known = do("injury_grants", values, book(average_wage_injury=12_000))
    assert known.total == Decimal(130_000 + 12_000 * 24)
    assert not known.ask_person
    with pytest.raises(Refused):
        work("injury_grants", grade=Decimal("7.5"), monthly_wage=Decimal(10_000), leaving="no")


def test_death_at_work_uses_the_figure_of_the_year_before_and_refuses_other_years() -> None:
    assert work("injury_death", death_date=date(2026, 5, 3)).total == Decimal("1130040.00")
    known = do("injury_death", {"death_date": date(2026, 1, 1)}, book(average_wage_injury=12_000))
    assert known.total == Decimal(1_130_040 + 72_000)
    for day in (date(2025, 12, 31), date(2027, 1, 1)):
        with pytest.raises(Refused, match="手头没有"):
            do("injury_death", {"death_date": day}, today=date(2027, 1, 15))


@pytest.mark.parametrize(
    ("paid", "months", "total"),
    [
        (11, 0, 0),
        (12, 12, 2129 * 12),
        (59, 12, 2129 * 12),
        (60, 18, 2156 * 12 + 2129 * 6),
        (119, 18, 2156 * 12 + 2129 * 6),
        (120, 24, 2188 * 12 + 2129 * 12),
        (180, 24, 2215 * 12 + 2129 * 12),
        (240, 24, 2286 * 12 + 2129 * 12),
    ],
)
def test_unemployment_benefit(paid: int, months: int, total: int) -> None:
    assert most_months(paid) == months
    assert work("unemployment", paid=paid, reason="not_own").total == total
    assert work("unemployment", paid=paid, reason="own").total == 0


def test_arbitration_limit_with_and_without_a_claim_in_between() -> None:
    def limit(**values: Value) -> Result:
        return do("arbitration_limit", values, today=date(2026, 3, 11))

    assert limit(matter="working").total is None
    plain = limit(matter="left", event_date=date(2025, 3, 31), claimed="no")
    assert plain.total == date(2026, 3, 31)
    assert "还剩20天" in plain.headline
    assert limit(matter="other", event_date=date(2024, 2, 29), claimed="no").total == date(2025, 2, 28)
    renewed = limit(matter="other", event_date=date(2024, 9, 1), claimed="yes", claim_date=date(2025, 9, 1))
    assert renewed.total == date(2026, 9, 1)
    late = limit(matter="other", event_date=date(2024, 9, 1), claimed="yes", claim_date=date(2025, 9, 2))
    assert late.total == date(2025, 9, 1)
    assert "可能已经过了" in late.headline
    assert "先别放弃" in late.text()
    with pytest.raises(Refused):
        limit(matter="other", event_date=date(2024, 9, 1), claimed="yes", claim_date=date(2024, 8, 1))


def test_injury_report_limit() -> None:
    result = work("injury_limit", event_date=date(2026, 11, 1))
    assert result.total == date(2027, 11, 1)
    assert "2026年12月1日" in result.text()
    assert "可能已经过了" in work("injury_limit", event_date=date(2025, 11, 21)).headline
    assert "还剩0天" in work("injury_limit", event_date=date(2025, 11, 22)).headline
