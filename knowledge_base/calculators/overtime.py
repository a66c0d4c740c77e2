"""Overtime pay: 150, 200 and 300 per cent of the hourly base, which is never below the minimum wage."""

from __future__ import annotations

from decimal import Decimal

from knowledge_base.calculators.calculation import Calculator, Given, Input, Refused
from knowledge_base.calculators.result import Citation, Result, cents, figure, yuan

MOST_HOURS_A_MONTH = Decimal(36)
HOURS_A_DAY = Decimal(8)
_RATES = (
    ("weekday_hours", "平时延长", Decimal("1.5")),
    ("restday_hours", "休息日（没补休）", Decimal(2)),
    ("holiday_hours", "法定节假日", Decimal(3)),
)


def _work(given: Given) -> Result:
    wage, months = given.amount("monthly_wage"), given.months("months")
    floor, pay_days = given.figure("min_wage_monthly"), given.figure("month_pay_days")
    base = max(wage, floor.value)
    hours = sum((given.amount(name) for name, _, _ in _RATES), Decimal(0))
    if hours == 0:
        raise Refused("三样都是0，就没有加班费可算", "weekday_hours")
    if hours > 31 * 24 - 21 * HOURS_A_DAY:
        raise Refused("加起来比一个月的钟头还多，对不上，再看看", "weekday_hours")
    steps, used = [], [pay_days]
    if wage < floor.value:
        steps.append(f"约定的工资低于最低工资，基数按最低工资{yuan(floor.value)}算")
        used.insert(0, floor)
    hourly = base / pay_days.value / HOURS_A_DAY
    steps.append(f"一小时工资：{yuan(base)}÷{pay_days.value}÷8≈{yuan(hourly)}")
    total = Decimal(0)
    for name, label, rate in _RATES:
        worked = given.amount(name)
        if worked:
            # One division at the very end, so that no rounding of the hour's pay creeps in.
            part = base * rate * worked / (pay_days.value * HOURS_A_DAY)
            total += part
            steps.append(f"{label}：{figure(worked)}小时×{figure(rate * 100)}%，约{yuan(part)}")
    if months > 1:
        steps.append(f"一个月约{yuan(total)}，{months}个月约{yuan(total * months)}")
    total *= months
    warnings = []
    if hours > MOST_HOURS_A_MONTH:
        warnings.append("一个月加班超过36小时就违法了（劳动法第41条），可以向劳动监察投诉，钱照样要给")
    warnings.append("不定时工时、综合计算工时（都要经过批准）、计件的，算法不一样")
    warnings.append("加班要你先拿出证据：打卡、排班、工作群记录都存好")
    citations = (
        Citation("劳动法", (41, 44)),
        Citation("北京市工资支付规定", (14, 44)),
        Citation("工资折算通知"),
        Citation("劳动争议司法解释一", (42,)),
    )
    return Result(
        f"加班费约{yuan(total)}（在正常工资以外另给的）",
        tuple(steps),
        cents(total),
        "元",
        citations,
        tuple(used),
        tuple(warnings),
    )


def _hours(name: str, question: str) -> Input:
    return Input(name, question, "number", low=Decimal(0), high=Decimal(500), default=Decimal(0), per="月小时")


OVERTIME = Calculator(
    key="overtime",
    title="加班费有多少",
    topic="legal.hours_overtime",
    triggers=r"加班(?:费|工资|钱).{0,10}(?:多少|怎么算|咋算|怎样算|如何算)|(?:多少|算).{0,6}加班(?:费|工资|钱)",
    inputs=(
        Input(
            "monthly_wage",
            "合同写的月工资是多少？合同没写，就说正常上班一个月应得多少（不算加班费）。",
            "money",
            low=Decimal(100),
            high=Decimal(1_000_000),
            hints="工资|月薪|底薪|每月|一个月",
            per="月",
        ),
        _hours("weekday_hours", "平时（工作日）一个月一共加了多少小时？没有回0。"),
        _hours("restday_hours", "休息日（周末）没给补休的，一个月一共多少小时？没有回0。"),
        _hours("holiday_hours", "法定节假日当天，一共加了多少小时？没有回0。"),
        Input("months", "像这样加班的有几个月？", "months", low=Decimal(1), high=Decimal(240), default=1),
    ),
    work=_work,
)
