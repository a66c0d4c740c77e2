"""The medical period: how long somebody who is ill may not be dismissed for it (医疗期规定第3、4条)."""

from __future__ import annotations

from decimal import Decimal

from knowledge_base.calculators.calculation import Calculator, Given, Input, Refused
from knowledge_base.calculators.periods import years_and_months
from knowledge_base.calculators.result import Citation, Result

WINDOWS = {3: 6, 6: 12, 9: 15, 12: 18, 18: 24, 24: 30}
"""Months of medical period to the months within which sick leave adds up."""


def medical_months(worked: int, here: int) -> int:
    """Months of medical period for so many months worked in all and at this employer; ten years count as 十年以上."""
    if worked < 120:
        return 3 if here < 60 else 6
    return 6 if here < 60 else 9 if here < 120 else 12 if here < 180 else 18 if here < 240 else 24


def _work(given: Given) -> Result:
    worked, here = given.months("worked"), given.months("here")
    if here > worked:
        raise Refused("在这家的年头不会比一共工作的年头还长，再看看", "here")
    months = medical_months(worked, here)
    steps = (
        f"一共工作{years_and_months(worked)}，在这家{years_and_months(here)}，医疗期{months}个月",
        f"从病休第一天起{WINDOWS[months]}个月里，请的病假加起来满{months}个月，医疗期才到",
    )
    notes = (
        "医疗期里单位不能以你生病为由辞退你，合同到期也要延到医疗期满（劳动合同法第42、45条）",
        "得了特别难治的病，各地可能延长，问工会的同事",
    )
    return Result(
        f"医疗期是{months}个月",
        steps,
        Decimal(months),
        "个月",
        (Citation("医疗期规定", (3, 4)), Citation("劳动合同法", (42, 45))),
        warnings=notes,
    )


MEDICAL_PERIOD = Calculator(
    key="medical_period",
    title="医疗期有几个月",
    topic="legal.sick_leave",
    triggers=r"医疗期.{0,6}(?:几个月|多久|多长|多少|怎么算|咋算)|(?:几个月|多久|多长|多少).{0,4}医疗期|"
    r"病假.{0,4}(?:几个月|多久|多长|最长)",
    inputs=(
        Input("worked", "到现在一共工作了几年？换过单位的加在一起。", "years", low=Decimal(0), high=Decimal(660)),
        Input("here", "在现在这家单位几年了？", "years", low=Decimal(0), high=Decimal(660)),
    ),
    work=_work,
)
