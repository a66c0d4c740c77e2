"""Is it too little? The minimum wage by month and by hour, and the least that sick pay may be."""

from __future__ import annotations

from decimal import Decimal

from knowledge_base.calculators.calculation import Calculator, Given, Input
from knowledge_base.calculators.result import Citation, Result, cents, figure, yuan

SICK_SHARE = Decimal("0.8")
_FORMS = {
    "monthly": "min_wage_monthly",
    "hourly": "min_wage_hourly",
    "part_time": "part_time_hourly",
    "part_time_holiday": "part_time_holiday_hourly",
}


def _minimum(given: Given) -> Result:
    form = given.pick("form")
    floor = given.figure(_FORMS[form])
    by_month = form == "monthly"
    paid = given.amount("monthly_pay" if by_month else "hourly_pay")
    count = Decimal(given.months("months")) if by_month else given.amount("hours")
    unit = "个月" if by_month else "小时"
    citations = [
        Citation("劳动法", (48,)),
        Citation("劳动合同法", (85,) if form in {"monthly", "hourly"} else (72, 85)),
        Citation("北京市工资支付规定", (10,) if form in {"monthly", "hourly"} else (18, 35)),
    ]
    own = (_NOT_COUNTED, "当月请了事假、没干满的，要按干的天数看") if form in {"monthly", "hourly"} else ()
    gap = max(Decimal(0), floor.value - paid)
    if gap == 0:
        steps = (f"你每{unit.removeprefix('个')}{yuan(paid)}，标准{yuan(floor.value)}，不低于标准",)
        notes = (*own, _EARLIER)
        return Result("没有低于最低工资", steps, Decimal("0.00"), "元", tuple(citations), (floor,), notes)
    total = gap * count
    one = yuan(floor.value) + "－" + yuan(paid) + "＝" + yuan(gap)
    lines = (f"每{unit.removeprefix('个')}差：{one}", f"{yuan(gap)}×{figure(count)}{unit}＝{yuan(total)}")
    notes = (*own, _EARLIER, "责令后到期还不补，会责令按应付的50%到100%加付赔偿金")
    return Result(
        f"低于最低工资，应补差额约{yuan(total)}", lines, cents(total), "元", tuple(citations), (floor,), notes
    )


_NOT_COUNTED = "加班费、夜班高温等津贴、个人该交的社保公积金都不算在最低工资里，要先去掉"
_EARLIER = "标准起用以前的月份，按当时的标准另算"


def _sick(given: Given) -> Result:
    wage, months, paid = given.figure("min_wage_monthly"), given.months("months"), given.amount("paid")
    floor = wage.value * SICK_SHARE
    gap = max(Decimal(0), floor - paid)
    total = gap * months
    steps = [f"最低工资{yuan(wage.value)}×80%＝{yuan(floor)}，整月病假不能比这少"]
    if gap:
        steps.append(f"{yuan(floor)}－{yuan(paid)}＝每月差{yuan(gap)}，{months}个月共差{yuan(total)}")
        headline = f"病假工资给少了，至少应补约{yuan(total)}"
    else:
        headline = f"每月{yuan(paid)}，不低于病假工资的底线{yuan(floor)}"
    return Result(
        headline,
        tuple(steps),
        cents(total),
        "元",
        (Citation("北京市工资支付规定", (21,)),),
        (wage,),
        (
            "合同、集体合同约定得更高的，按约定",
            "只病休几天的月份，上班那些天的工资要另加",
            "社保、公积金个人部分怎么扣，看工资条",
        ),
    )


MINIMUM_WAGE = Calculator(
    key="minimum_wage",
    title="工资是不是低于最低工资",
    topic="legal.minimum_wage",
    triggers=r"最低工资.{0,10}(?:差多少|补多少|差额|算一?下|算算|够不够|够吗)|够不够最低工资|"
    r"(?:是不是|算不算|有没有|到没到).{0,6}最低工资|(?:低于|不够|不到|达不到)最低工资.{0,6}(?:多少|差|补)",
    inputs=(
        Input(
            "form",
            "工资是怎么发的？",
            "choice",
            choices={
                "monthly": ("按月发", "月薪", "月工资", "每月", "一个月"),
                "hourly": ("按小时发，全天上班", "按小时", "时薪", "计时"),
                "part_time": ("小时工（一天不超过4小时）", "小时工", "钟点工", "非全日制", "兼职"),
                "part_time_holiday": ("小时工，法定节假日上的班", "小时工节假日", "小时工过节", "法定节假日"),
            },
        ),
        Input(
            "monthly_pay",
            "去掉加班费、夜班高温津贴，再扣掉个人社保公积金，每月拿多少钱？",
            "money",
            low=Decimal(0),
            high=Decimal(1_000_000),
            hints="工资|月薪|底薪|到手|每月|一个月",
            needed=lambda given: given.get("form") == "monthly",
            per="月",
        ),
        Input(
            "hourly_pay",
            "一小时给多少钱？",
            "money",
            low=Decimal(0),
            high=Decimal(5000),
            needed=lambda given: given.get("form") != "monthly",
            per="小时",
        ),
        Input(
            "months",
            "这样发了多少个月？",
            "months",
            low=Decimal(1),
            high=Decimal(240),
            default=1,
            needed=lambda given: given.get("form") == "monthly",
        ),
        Input(
            "hours",
            "一共干了多少小时？说不清的，说一个月大概多少小时。",
            "number",
            low=Decimal(1),
            high=Decimal(20_000),
            needed=lambda given: given.get("form") != "monthly",
            per="月小时",
        ),
    ),
    work=_minimum,
)

SICK_PAY = Calculator(
    key="sick_pay",
    title="病假工资最少该给多少",
    topic="legal.sick_leave",
    triggers=r"病假(?:工资|钱|费).{0,8}(?:多少|怎么算|咋算|最低|最少|怎么发|够不够)|(?:多少|最低|最少).{0,4}病假(?:工资|钱)",
    inputs=(
        Input(
            "paid",
            "整月病假时，单位一个月给多少钱？一分没给回0。",
            "money",
            low=Decimal(0),
            high=Decimal(1_000_000),
            per="月",
        ),
        Input("months", "这样发了几个月？", "months", low=Decimal(1), high=Decimal(36), default=1),
    ),
    work=_sick,
)
