"""Double pay where no written contract was signed: eleven months at most, counted back one year from the claim."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

from knowledge_base.calculators.calculation import Calculator, Given, Input, Refused
from knowledge_base.calculators.periods import (
    ONE_DAY,
    after_months,
    limit_end,
    months_run,
    shown,
    span_end,
    working_days,
)
from knowledge_base.calculators.result import Citation, Result, between, cents, yuan

LAW_BEGINS = date(2008, 1, 1)


def owed_days(hired: date, until: date) -> tuple[date, date] | None:
    """First and last day of double pay when nothing was signed through `until`; None while it has not begun.

    劳动合同法实施条例第6、7条: from the day after one full month to the day before one full year, eleven months in all.
    """
    first = span_end(hired, 1) + ONE_DAY
    last = min(until, span_end(hired, 12))
    return (first, last) if first <= last else None


def still_claimable(claim: date) -> date:
    """The earliest day whose double pay a claim on `claim` still reaches: in Beijing each day has its own year."""
    day = after_months(claim, -12)
    return day if limit_end(day, years=1) >= claim else day + ONE_DAY


def _amount(first: date, last: date, wage: Decimal, month_days: Decimal) -> tuple[Decimal, int, int]:
    """Money, whole months, working days of the rest; a part month never counts more than a month (司法解释二第6条)."""
    months, _ = months_run(first, last)
    rest_from = span_end(first, months) + ONE_DAY if months else first
    days = working_days(rest_from, last)
    return wage * months + min(wage, wage * days / month_days), months, days


def _work(given: Given) -> Result:
    hired, wage, claim = given.day("hire_date"), given.amount("monthly_wage"), given.day("claim_date")
    status = given.pick("status")
    until = given.today if status == "working" else given.day("end_date")
    if until < hired:
        raise Refused("这个日子比入职还早，看看是不是写反了", "end_date")
    if claim < hired:
        raise Refused("提出的日子比入职还早，看看是不是写反了", "claim_date")
    if hired < LAW_BEGINS:
        raise Refused("2008年以前入职的，从2008年2月才开始算二倍工资，早就过了时间，请回“人工”让同事看")
    if status == "signed":
        until -= ONE_DAY
    citations = (
        Citation("劳动合同法", (10, 82)),
        Citation("劳动合同法实施条例", (6, 7)),
        Citation("劳动争议司法解释二", (6, 7)),
        Citation("劳动争议调解仲裁法", (27,)),
        Citation("京高法发〔2024〕534号解答（一）第41问"),
    )
    days = owed_days(hired, until)
    if days is None:
        step = f"{shown(hired)}入职，头一个月是给单位签合同的时间，{shown(span_end(hired, 1))}过完才开始有二倍工资"
        return Result("现在还没有二倍工资", (step,), Decimal("0.00"), "元", citations)
    pay_days = given.figure("month_pay_days")
    full, months, rest = _amount(*days, wage, pay_days.value)
    steps = [f"二倍工资管的是{between(*days)}：{_length(months, rest)}，最多11个月"]
    first = max(days[0], still_claimable(claim))
    if first > days[1]:
        last_chance = limit_end(days[1], years=1)
        steps.append(
            f"每一天只有一年时效，从提出那天（{shown(claim)}）往前推一年，最后一天到{shown(last_chance)}也过了"
        )
        hope = "先别放弃：这一年里催过、投诉过，时间会重新算；有证据就有机会。"
        return Result(
            "按这个时间算，二倍工资可能过了时效", tuple(steps), Decimal("0.00"), "元", citations, ask_person=hope
        )
    total = full
    if first > days[0]:
        total, months, rest = _amount(first, days[1], wage, pay_days.value)
        reach = f"{between(first, days[1])}：{_length(months, rest)}"
        steps.append(f"每一天只有一年时效，从{shown(claim)}往前推一年，能要的是{reach}")
    part = f"＋{yuan(wage)}÷{pay_days.value}×{rest}天" if rest else ""
    steps.append(
        f"多给的那一倍：{yuan(wage)}×{months}个月{part}＝{yuan(total)}" + ("（不满一月的最多算一月）" if rest else "")
    )
    warnings = ["单位能证明是你故意或有重大过失才没签的，没有二倍工资"]
    if days[0] < first or limit_end(first, years=1) - given.today < timedelta(days=60):
        warnings.insert(0, "越晚提出，能要的越少，一天天在减，尽快申请仲裁")
    used = (pay_days,) if rest else ()
    return Result(f"可以再要约{yuan(total)}", tuple(steps), cents(total), "元", citations, used, tuple(warnings))


def _length(months: int, rest: int) -> str:
    return f"{months}个月" + (f"零{rest}个工作日" if rest else "")


DOUBLE_PAY = Calculator(
    key="double_pay",
    title="没签合同的二倍工资有多少",
    topic="legal.no_written_contract",
    triggers=r"(?:二|两|双|2)倍工?资?.{0,8}(?:多少|怎么算|几个月|咋算|能拿|能要)|"
    r"(?:没|未|不)签.{0,6}合同.{0,10}(?:赔|补).{0,4}(?:多少|几个月)",
    inputs=(
        Input(
            "hire_date",
            "哪天开始上班的？记不清哪天，说到几月也行。",
            "date",
            hints="入职|进厂|进公司|来上班|开始上班|开始干|上班",
        ),
        Input(
            "status",
            "现在是哪种情况？",
            "choice",
            choices={
                "working": ("还在上班，一直没签", "还在", "一直没签", "没签"),
                "signed": ("后来补签了合同", "补签", "签了", "后来签"),
                "left": ("已经离职，一直没签", "离职", "走了", "不干了", "辞退"),
            },
        ),
        Input(
            "end_date",
            "补签合同，或者离职，是哪天？",
            "date",
            needed=lambda given: given.get("status") != "working",
            edge="last",
        ),
        Input(
            "monthly_wage",
            "这段时间每月应发多少钱？（扣社保和个税之前）",
            "money",
            low=Decimal(100),
            high=Decimal(1_000_000),
            hints="工资|月薪|底薪|每月|一个月",
            per="月",
        ),
        Input(
            "claim_date",
            "哪天申请的仲裁？还没申请的回“没有”，就按今天算。",
            "date",
            hints="申请了?仲裁|仲裁申请",
            default="today",
            asked=False,
        ),
    ),
    work=_work,
)
