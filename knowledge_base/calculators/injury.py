"""Work injury: the lump sums by grade, and what a family gets after a death at work."""

from __future__ import annotations

from decimal import Decimal

from knowledge_base.calculators.calculation import Calculator, Given, Input, Refused
from knowledge_base.calculators.result import Citation, Result, cents, yuan

GRANT_MONTHS = {1: 27, 2: 25, 3: 23, 4: 21, 5: 18, 6: 16, 7: 13, 8: 11, 9: 9, 10: 7}
"""Months of the worker's own pay by grade (工伤保险条例第35至37条)."""
MONTHLY_SHARE = {1: 90, 2: 85, 3: 80, 4: 75, 5: 70, 6: 60}
DEATH_TIMES = 20
FUNERAL_MONTHS = 6
_GRADES = "零一二三四五六七八九十"


def _work(given: Given) -> Result:
    grade, wage = int(given.amount("grade")), given.amount("monthly_wage")
    if grade != given.amount("grade"):
        raise Refused("伤残等级是1到10的整数", "grade")
    name = _GRADES[grade] + "级"
    allowance = wage * GRANT_MONTHS[grade]
    article = 35 if grade <= 4 else 36 if grade <= 6 else 37
    citations = [Citation("工伤保险条例", (article, 62, 64))]
    steps = [f"一次性伤残补助金：{yuan(wage)}×{GRANT_MONTHS[grade]}个月（{name}）＝{yuan(allowance)}"]
    base = given.figure("contribution_base_lower")
    figures, warnings, doubt, total = [], [], "", allowance
    if wage < base.value:
        warnings.append(f"缴费工资低于社平工资六成的，按六成算（社保缴费下限是{yuan(base.value)}），实际可能更多")
        figures.append(base)
    if wage > given.figure("contribution_base_upper").value:
        doubt += "你的工资可能高过社平工资三倍，要按三倍封顶，钱数可能少一些。"
    headline = f"一次性伤残补助金约{yuan(allowance)}"
    leaving = grade >= 5 and given.pick("leaving") == "yes"
    if grade <= 6 and not leaving:
        kind = "从工伤保险基金按月领" if grade <= 4 else "单位安排不了工作的，按月领"
        monthly = wage * MONTHLY_SHARE[grade] / 100
        steps.append(f"{kind}伤残津贴：工资的{MONTHLY_SHARE[grade]}%，约{yuan(monthly)}，不低于最低工资")
    if leaving:
        months = given.figure("injury_grant_months")
        average = given.figure("average_wage_injury")
        count = months.values[str(grade)]
        figures.append(months)
        citations.append(Citation("北京工伤待遇标准通知384号"))
        each = f"离开单位另有两笔，各{count}个月的本市上年度职工月平均工资：医疗补助金（基金付）、就业补助金（单位付）"
        if average.known:
            both = average.value * count * 2
            total += both
            figures.append(average)
            steps.append(f"{each}，合计{yuan(average.value)}×{count}×2＝{yuan(both)}")
            headline = f"一次性的合计约{yuan(total)}"
        else:
            steps.append(each)
            headline += f"，另加{count * 2}个月社平工资"
            doubt += "社平工资的数还没核到，另外两笔的钱数算不出来。"
        if grade >= 7:
            warnings.append("离开单位的那两笔，合同到期或者你自己提出解除时才有")
    warnings.append("没上工伤保险的，这些都由单位按同样标准付；级别以鉴定结论为准")
    warnings.append("停工治伤期间工资照发，医药费、住院伙食等另算")
    return Result(headline, tuple(steps), cents(total), "元", tuple(citations), tuple(figures), tuple(warnings), doubt)


def _death(given: Given) -> Result:
    day = given.day("death_date")
    income = given.book.reaching("urban_disposable_income", day, given.today)
    average = given.figure("average_wage_injury")
    if income is None:
        raise Refused(f"这笔钱按去世前一年的全国数算，手头没有{day.year}年要用的数，请回“人工”让同事查", "death_date")
    grant = income.value * DEATH_TIMES
    steps = [f"一次性工亡补助金：{yuan(income.value)}×20＝{yuan(grant)}"]
    total, figures, doubt = grant, [income], ""
    if average.known:
        funeral = average.value * FUNERAL_MONTHS
        total += funeral
        figures.append(average)
        steps.append(f"丧葬补助金：{yuan(average.value)}×6个月＝{yuan(funeral)}")
    else:
        steps.append("丧葬补助金：6个月的本市上年度职工月平均工资，另加")
        doubt = "社平工资的数还没核到，丧葬补助金没算进去。"
    steps.append("靠他生活、没有劳动能力的亲属，按月另有抚恤金：配偶是他工资的40%，其他每人30%，孤老孤儿加10%")
    return Result(
        f"一次性的至少约{yuan(total)}" if doubt else f"一次性的合计约{yuan(total)}",
        tuple(steps),
        cents(total),
        "元",
        (Citation("工伤保险条例", (39, 62)),),
        tuple(figures),
        ("先要认定工亡，家属一年内就能自己去申请", "没上工伤保险的，由单位按同样标准付"),
        doubt,
    )


INJURY_GRANTS = Calculator(
    key="injury_grants",
    title="工伤几级赔多少",
    topic="legal.injury_compensation",
    also=("legal.injury_uninsured", "legal.injury_assessment"),
    triggers=r"(?:[一二三四五六七八九十]|[0-9]{1,2})级(?:伤残|工伤)?.{0,10}(?:多少|怎么算|咋算|几个月)|"
    r"工伤.{0,10}(?:赔多少|赔偿多少|补偿多少|多少钱|怎么算)|伤残(?:补助|津贴).{0,6}多少",
    inputs=(
        Input("grade", "劳动能力鉴定是几级？（1到10级）", "number", low=Decimal(1), high=Decimal(10)),
        Input(
            "monthly_wage",
            "受伤前12个月，社保平均每月按多少钱缴的费？没上社保的，说平均每月应发多少。",
            "money",
            low=Decimal(100),
            high=Decimal(1_000_000),
            hints="工资|月薪|底薪|每月|一个月|缴费基数",
            per="月",
        ),
        Input(
            "leaving",
            "是不是要离开这家单位（合同到期或者自己提出走）？",
            "choice",
            choices={
                "yes": ("是，要走或已经走了", "要走", "离职", "走了", "解除", "到期", "是", "对"),
                "no": ("不走，还在这家", "不走", "还在", "不是", "没走", "不离职", "不", "没"),
            },
            needed=lambda given: given.get("grade") not in {Decimal(grade) for grade in (1, 2, 3, 4)},
        ),
    ),
    work=_work,
)

INJURY_DEATH = Calculator(
    key="injury_death",
    title="因工死亡，家属能领多少",
    topic="legal.injury_death",
    triggers=r"(?:工亡|因工死亡|工伤死亡|猝死|死在(?:单位|工地|岗位)|去世|没了|死了|过世).{0,14}(?:多少|怎么赔|怎么算|标准)",
    inputs=(Input("death_date", "人是哪天走的？说到几月也行。", "date", hints="去世|走的|没的|死亡|过世|出事"),),
    work=_death,
)
