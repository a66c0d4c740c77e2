"""Unemployment benefit: for how many months at most, and how much a month."""

from __future__ import annotations

from decimal import Decimal

from knowledge_base.calculators.calculation import Calculator, Given, Input
from knowledge_base.calculators.periods import years_and_months
from knowledge_base.calculators.result import Citation, Result, cents, yuan

FULL_RATE_MONTHS = 12
"""From the month after these everybody gets the lowest rate."""


def most_months(paid: int) -> int:
    """The most months of benefit for so many months of contributions (社会保险法第46条); 0 below one year."""
    return 0 if paid < 12 else 12 if paid < 60 else 18 if paid < 120 else 24


def _work(given: Given) -> Result:
    paid, reason = given.months("paid"), given.pick("reason")
    law = Citation("社会保险法", (45, 46, 47))
    if reason == "own":
        step = "要三条都够：缴费满一年、不是自己愿意丢的工作、登记了失业并在找工作。自己辞职的不够第二条"
        hint = "因为单位欠薪、不缴社保等被迫走的，不算自愿，选“被辞退、合同到期等”再算一次"
        return Result("自己辞职的，一般领不到失业金", (step,), Decimal("0.00"), "元", (law,), warnings=(hint,))
    months = most_months(paid)
    if months == 0:
        step = "失业保险要缴满一年，你说的是" + years_and_months(paid)
        return Result("缴费不满一年，领不到失业金", (step,), Decimal("0.00"), "元", (law,))
    rates = given.figure("unemployment_benefit")
    grade = max((key for key in rates.values if key != "later" and int(key) * 12 <= paid), key=int)
    rate, later = rates.values[grade], rates.values["later"]
    rest = max(0, months - FULL_RATE_MONTHS)
    total = rate * (months - rest) + later * rest
    steps = [f"累计缴费{years_and_months(paid)}，最长{months}个月", f"前12个月每月{yuan(rate)}"]
    if rest:
        steps.append(f"第13个月起每月{yuan(later)}，最多{rest}个月")
    steps.append(f"领满一共{yuan(total)}")
    return Result(
        f"失业金每月{yuan(rate)}，最长{months}个月，最多约{yuan(total)}",
        tuple(steps),
        cents(total),
        "元",
        (law,),
        (rates,),
        (
            "这是最长的月数，到底几个月由社保经办按你的缴费时间核定，可能少一些",
            "重新就业、开始领养老金等会停发",
            "领的时候医保由基金交，自己不用交",
        ),
    )


UNEMPLOYMENT = Calculator(
    key="unemployment",
    title="失业金能领几个月、多少钱",
    topic="legal.unemployment_benefit",
    triggers=r"失业(?:金|保险金|保险|补助).{0,10}(?:多少|几个月|领多久|怎么算|咋算)",
    inputs=(
        Input(
            "reason",
            "工作是怎么没的？",
            "choice",
            choices={
                "not_own": (
                    "被辞退、合同到期等，不是我自己要走的",
                    "辞退",
                    "到期",
                    "裁员",
                    "倒闭",
                    "被迫",
                    "开除",
                    "欠薪",
                ),
                "own": ("我自己辞职的", "自己辞", "主动", "个人原因", "我辞职"),
            },
        ),
        Input(
            "paid",
            "失业保险一共缴了几年几个月？领过失业金的，从那以后重新算。",
            "years",
            low=Decimal(0),
            high=Decimal(660),
        ),
    ),
    work=_work,
)
