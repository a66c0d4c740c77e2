"""Economic compensation and what comes with it: N, N+1, 2N, the cap, and the years before the Labour Contract Law."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

from knowledge_base.calculators.calculation import Calculator, Given, Input, Refused
from knowledge_base.calculators.parameters import Parameter
from knowledge_base.calculators.periods import after_months, months_run, years_and_months
from knowledge_base.calculators.result import Citation, Result, between, cents, figure, yuan

LAW_BEGINS = date(2008, 1, 1)
MOST_YEARS_CAPPED = Decimal(12)
LONGEST_MONTHS = 55 * 12
KNOWN_MONTHS = 10 * 12
"""How far back somebody may have left: for older cases we can say nothing of what was average pay."""
_HALF = Decimal("0.5")
_A_MONTH = timedelta(days=31)

REASONS = {
    "agreed": ("公司提出、双方商量好走", "协商", "劝退"),
    "notice": ("公司提前30天通知辞退（不胜任、病假期满、情况变化）", "提前30天", "提前一个月", "提前通知"),
    "no_notice": ("同上，但没提前30天通知", "没提前30天", "没提前一个月", "没提前", "没有提前"),
    "layoff": ("公司裁员、关门、破产", "裁员", "倒闭", "关门", "破产", "解散"),
    "expired": ("合同到期，公司不续或降条件续", "到期", "不续签"),
    "forced": ("公司欠薪、不缴社保等，我提出走", "被迫", "欠薪", "拖欠", "缴社保", "交社保"),
    "unlawful": ("公司没正当理由就赶我走", "违法", "无故", "没理由", "没有理由", "无理由", "突然", "赶我走"),
    "own": ("我自己辞职（个人原因）", "自己辞", "主动辞", "我辞职", "个人原因"),
    "fault": ("公司说我严重违纪开除", "违纪", "旷工", "开除"),
    "unsure": ("说不清", "不清楚", "不知道", "不确定"),
}
_NONE = {
    "own": (
        "自己因个人原因辞职，一般没有经济补偿",
        "要是因为公司欠薪、不缴社保等才走的，选“公司欠薪、不缴社保等，我提出走”再算一次",
        (Citation("劳动合同法", (37, 46)),),
    ),
    "fault": (
        "真属于严重违纪，没有经济补偿；公司拿不出证据，就是违法辞退，可以要2N",
        "违纪的事由公司举证，制度还要合法、公示过。公司证明不了的，选“公司没正当理由就赶我走”再算一次",
        (Citation("劳动合同法", (39, 46, 87)), Citation("劳动争议司法解释一", (44, 50))),
    ),
}
_GROUNDS = {"agreed": 36, "notice": 40, "no_notice": 40, "layoff": 41, "expired": 44, "forced": 38}


def service_months(first: date, last: date) -> Decimal:
    """Months of pay for the time from `first` to `last`, both worked: six months count as a year, less counts half.

    劳动合同法第47条. A last day before the first counts nothing.
    """
    months, days = months_run(first, last)
    years, rest = divmod(months, 12)
    if rest >= 6:
        return Decimal(years + 1)
    return Decimal(years) + (_HALF if rest or days else 0)


@dataclass(frozen=True, slots=True)
class _Wage:
    """The month's pay that counts; `amount` is None when only a person can say, `doubt` is why a person should look."""

    amount: Decimal | None
    step: str
    capped: bool = False
    figures: tuple[Parameter, ...] = ()
    doubt: str = ""


def _wage(given: Given) -> _Wage:
    wage, left, today, book = given.amount("monthly_wage"), given.day("leave_date"), given.today, given.book
    floor = book.reaching("min_wage_monthly", left, today)
    if floor is not None and wage < floor.value:
        return _Wage(floor.value, f"月工资{yuan(wage)}低于最低工资，按最低工资{yuan(floor.value)}算", figures=(floor,))
    if floor is None and wage < given.figure("min_wage_monthly").value:
        doubt = f"工资低于最低工资的要按最低工资算，手头没有{left.year}年的标准，结果可能偏少。"
        return _Wage(wage, f"月工资{yuan(wage)}（离职前12个月平均）", doubt=doubt)
    base = book.reaching("severance_cap_base", left, today)
    if base is not None and base.known:
        top = base.value * 3
        if wage > top:
            step = f"月工资{yuan(wage)}高过社平工资三倍，按三倍{yuan(top)}算，最多算12年"
            return _Wage(top, step, capped=True, figures=(base,))
        return _Wage(wage, f"月工资{yuan(wage)}，没超过社平工资三倍{yuan(top)}", figures=(base,))
    # Nobody below this is capped. Average pay here has not doubled in ten years: half of it is safe for earlier years.
    ceiling = given.figure("contribution_base_upper")
    if wage <= (ceiling.value if left >= ceiling.valid_from else ceiling.value / 2):
        return _Wage(wage, f"月工资{yuan(wage)}（离职前12个月平均）")
    doubt = "你的工资比较高，可能要按社平工资三倍封顶、最多算12年；封顶的数手头没有核对过的，不敢给总数。"
    return _Wage(None, f"月工资{yuan(wage)}，可能碰到三倍封顶", doubt=doubt)


def _work(given: Given) -> Result:
    hired, left, reason = given.day("hire_date"), given.day("leave_date"), given.pick("reason")
    if left < hired:
        raise Refused("离职的日子比入职还早，看看是不是写反了", "leave_date")
    if left < after_months(given.today, -KNOWN_MONTHS):
        raise Refused("离职十年以上的，当时的工资标准手头没有，这里算不了，请回“人工”让同事看", "leave_date")
    if months_run(hired, left)[0] >= LONGEST_MONTHS:
        raise Refused("干的年头太长，对不上，看看入职是哪一年", "hire_date")
    if reason in _NONE:
        headline, step, articles = _NONE[reason]
        return Result(headline, (step,), Decimal("0.00"), "元", articles)
    double = reason == "unlawful"
    begins = hired if double else max(hired, LAW_BEGINS)
    wage, months = _wage(given), service_months(begins, left)
    steps = [f"{between(begins, left)}，{years_and_months(months_run(begins, left)[0])}，折成{figure(months)}个月工资"]
    if wage.capped and months > MOST_YEARS_CAPPED:
        months = MOST_YEARS_CAPPED
    steps.append(wage.step)
    warnings = []
    if len({service_months(begins, left + shift) for shift in (-_A_MONTH, timedelta(0), _A_MONTH)}) > 1:
        warnings.append("入职、离职的日子差几天，可能就差半个月工资，日子要对准")
    doubt = wage.doubt
    if begins != hired:
        steps.insert(0, "2008年以前那段按当时的规定另算，下面只算2008年起的")
        doubt += "2008年以前的年头没算进去，总数应当更多。"
    citations = [Citation("劳动合同法", _articles(reason, begins != hired))]
    citations.append(
        Citation("劳动合同法实施条例", (25, 27) if double else (20, 27) if reason == "no_notice" else (27,))
    )
    if wage.amount is None:
        headline = "总数要请人核：可能要按社平工资三倍封顶，封顶的最多算12个月" + ("，再乘2" if double else "")
        return Result(headline, tuple(steps), None, "元", tuple(citations), wage.figures, tuple(warnings), doubt)
    total = wage.amount * months * (2 if double else 1)
    if double:
        steps.append(f"{yuan(wage.amount)}×{figure(months)}×2＝{yuan(total)}（拿了2N就不再另给N）")
        warnings.append("也可以不要钱，要求回去继续上班，二选一（劳动合同法第48条）")
    else:
        steps.append(f"{yuan(wage.amount)}×{figure(months)}＝{yuan(total)}")
    if reason == "no_notice":
        extra = given.amount("last_month_wage")
        total += extra
        steps.append(f"没提前30天通知，加最后一个月工资{yuan(extra)}，合计{yuan(total)}")
    headline = f"{_NAMES.get(reason, '经济补偿（N）')}约{yuan(total)}"
    if reason == "unsure":
        headline += f"；要是公司没正当理由就辞退，是两倍{yuan(total * 2)}（2N）"
        warnings.append("自己因个人原因辞职，或真的严重违纪，一般没有这笔钱")
    return Result(headline, tuple(steps), cents(total), "元", tuple(citations), wage.figures, tuple(warnings), doubt)


_NAMES = {"unlawful": "违法辞退的赔偿金（2N）", "no_notice": "经济补偿加一个月工资（N+1）"}


def _articles(reason: str, before_law: bool) -> tuple[int, ...]:
    grounds = {_GROUNDS[reason]} if reason in _GROUNDS else set()
    return tuple(
        sorted(grounds | {47} | ({48, 87} if reason == "unlawful" else {46}) | ({97} if before_law else set()))
    )


SEVERANCE = Calculator(
    key="severance",
    title="离职补偿能拿多少",
    topic="legal.severance_pay",
    also=(
        "legal.unfair_dismissal",
        "legal.forced_resignation",
        "legal.layoff_closure",
        "legal.contract_renewal",
        "legal.female_protection",
    ),
    triggers=r"(?:补偿|赔偿|赔).{0,8}(?:多少|怎么算|几个月|咋算)|(?:多少|几个月).{0,4}(?:补偿|赔偿)|n\+1|n加1|2n|"
    r"算.{0,4}(?:补偿|赔偿金)",
    inputs=(
        Input(
            "reason",
            "你是怎么离开的？",
            "choice",
            choices=REASONS,
        ),
        Input(
            "hire_date",
            "哪天入职的？记不清哪天，说到几月也行。",
            "date",
            hints="入职|进厂|进公司|来上班|开始上班|开始干",
        ),
        Input(
            "leave_date",
            "最后一天上班是哪天？还没走的，说准备走的那天。",
            "date",
            hints="协商离开|辞退|离职|开除|被开|被裁|裁员|解除|走人|不让.{0,3}上班|辞职|到期|被炒",
            future=True,
            edge="last",
        ),
        Input(
            "monthly_wage",
            "离职前12个月，平均每月应发多少钱？算上奖金、津贴、补贴，是扣社保和个税之前的数；干不满12个月就按干了的月份平均。",
            "money",
            low=Decimal(100),
            high=Decimal(1_000_000),
            hints="工资|月薪|底薪|到手|每月|一个月|应发|平均",
            per="月",
        ),
        Input(
            "last_month_wage",
            "离职前最后一个整月，应发多少钱？",
            "money",
            low=Decimal(100),
            high=Decimal(1_000_000),
            needed=lambda given: given.get("reason") == "no_notice",
            per="月",
        ),
    ),
    work=_work,
)
