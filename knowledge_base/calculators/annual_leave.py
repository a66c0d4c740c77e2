"""Pay for annual leave that was not given: how many days, and the two hundred per cent that is still owed."""

from __future__ import annotations

from datetime import date
from decimal import ROUND_FLOOR, Decimal

from knowledge_base.calculators.calculation import Calculator, Given, Input, Refused
from knowledge_base.calculators.result import Citation, Result, between, cents, figure, yuan

_EXTRA = Decimal(2)


def entitlement(months_worked: int) -> Decimal:
    """Days of leave a year for so many months worked in all, at any employer (职工带薪年休假条例第3条)."""
    years = months_worked // 12
    return Decimal(0 if years < 1 else 5 if years < 10 else 10 if years < 20 else 15)


def share(days: Decimal, first: date, last: date, taken: Decimal) -> Decimal:
    """Whole days left of `days` a year for the part of the year from `first` to `last`, after `taken`; never below 0.

    企业职工带薪年休假实施办法第5、12条: calendar days over 365, what is less than a day falls away.
    """
    part = min(days, days * ((last - first).days + 1) / 365)
    return max(Decimal(0), (part - taken).to_integral_value(ROUND_FLOOR))


def _work(given: Given) -> Result:
    status, taken, wage = given.pick("status"), given.amount("taken"), given.amount("monthly_wage")
    days = entitlement(given.months("worked"))
    citations = [Citation("职工带薪年休假条例", (3, 5)), Citation("企业职工带薪年休假实施办法", (10, 11))]
    if days == 0:
        step = "连续工作满12个月才开始有带薪年休假；在别的单位干的年头也能接着算"
        return Result("还没到有年休假的时候", (step,), Decimal("0.00"), "元", (*citations[:1],))
    steps = [f"一共工作了{given.months('worked') // 12}年，一年有{figure(days)}天年休假"]
    if status == "whole":
        left = max(Decimal(0), days - taken)
        steps.append(f"已休{figure(taken)}天，没休的{figure(left)}天")
    else:
        first, last = _part_of_year(given, status)
        citations[1] = Citation("企业职工带薪年休假实施办法", (5, 10, 11) if status == "joined" else (10, 11, 12))
        left = share(days, first, last, taken)
        length = (last - first).days + 1
        formula = f"{length}÷365×{figure(days)}，减已休{figure(taken)}天，不满1天不算，得{figure(left)}天"
        steps.append(f"{between(first, last)}共{length}天：{formula}")
    if left == 0:
        return Result("没有该补钱的年休假天数", tuple(steps), Decimal("0.00"), "元", tuple(citations))
    pay_days = given.figure("month_pay_days")
    total = wage * left * _EXTRA / pay_days.value
    steps.append("没休的年休假按日工资300%给，正常工资里已含100%，还差200%")
    steps.append(f"{yuan(wage)}÷{pay_days.value}×{figure(left)}天×200%＝{yuan(total)}")
    warnings = (
        "你书面说过自己不想休的，单位可以只付正常工资",
        "当年病假、事假特别长的，可能不享受年休假",
        "这笔钱从哪天起算时效有争议，别拖，最好一年内提出",
    )
    return Result(
        f"还应补约{yuan(total)}（{figure(left)}天）",
        tuple(steps),
        cents(total),
        "元",
        tuple(citations),
        (pay_days,),
        warnings,
    )


def _part_of_year(given: Given, status: str) -> tuple[date, date]:
    if status == "joined":
        first = given.day("join_date")
        return first, date(first.year, 12, 31)
    last = given.day("leave_date")
    first = given.day("join_date") if status == "both" else date(last.year, 1, 1)
    if first > last or first.year != last.year:
        raise Refused("进来和走的日子不在同一年，或者写反了，再看看", "join_date")
    return first, last


ANNUAL_LEAVE = Calculator(
    key="annual_leave",
    title="没休年假能补多少钱",
    topic="legal.annual_other_leave",
    triggers=r"年(?:休)?假.{0,12}(?:多少钱|怎么算|咋算|补多少|赔多少|折现|折成钱|算钱)|算.{0,4}年(?:休)?假",
    inputs=(
        Input(
            "worked",
            "到现在一共工作了几年？换过单位的加在一起，比如3年零4个月。",
            "years",
            low=Decimal(0),
            high=Decimal(660),
        ),
        Input(
            "status",
            "没休的那一年，你是哪种情况？",
            "choice",
            choices={
                "whole": ("整年都在这家单位", "整年", "全年", "一直在"),
                "left": ("那年中途离职了", "离职", "走了", "辞职", "辞退"),
                "joined": ("那年中途才来的", "才来", "新来", "中途来", "刚来"),
                "both": ("那年来、那年又走了", "当年来当年走", "来了又走"),
            },
        ),
        Input(
            "join_date",
            "那年哪天来上班的？",
            "date",
            hints="入职|进厂|进公司|来上班",
            needed=lambda given: given.get("status") in {"joined", "both"},
        ),
        Input(
            "leave_date",
            "最后一天上班是哪天？",
            "date",
            hints="离职|辞退|辞职|走人",
            needed=lambda given: given.get("status") in {"left", "both"},
            future=True,
            edge="last",
        ),
        Input(
            "taken",
            "那年已经休了几天年休假？没休过回0。",
            "number",
            low=Decimal(0),
            high=Decimal(60),
            default=Decimal(0),
            per="天",
        ),
        Input(
            "monthly_wage",
            "前12个月平均每月应发多少钱？不算加班费。",
            "money",
            low=Decimal(100),
            high=Decimal(1_000_000),
            hints="工资|月薪|底薪|每月|一个月",
            per="月",
        ),
    ),
    work=_work,
)
