"""Time limits asked for as a sum: until when arbitration, until when a work injury can be reported."""

from __future__ import annotations

from knowledge_base.calculators.calculation import Calculator, Given, Input, Refused
from knowledge_base.calculators.periods import limit_end, shown
from knowledge_base.calculators.result import Citation, Result


def _arbitration(given: Given) -> Result:
    matter = given.pick("matter")
    law = Citation("劳动争议调解仲裁法", (27,))
    if matter == "working":
        step = "还在职时被拖欠工资、加班费的，申请仲裁不受一年限制；离职以后要在一年内提出"
        return Result("你还在职，要工资现在没有一年的限制", (step,), None, "日", (law,))
    start = given.day("event_date")
    what = "离职那天" if matter == "left" else "知道吃亏那天"
    last = limit_end(start, years=1)
    steps = [f"{what}{shown(start)}，往后一年，最晚到{shown(last)}"]
    doubt = ""
    if given.pick("claimed") == "yes":
        claim = given.day("claim_date")
        if claim < start:
            raise Refused(f"催要的日子比{what}还早，看看是不是写反了", "claim_date")
        if claim <= last:
            last = limit_end(claim, years=1)
            steps.append(f"{shown(claim)}催要或投诉过，从那天重新算一年，最晚到{shown(last)}")
        else:
            steps.append(f"{shown(claim)}才催要，那时一年已经过了，不一定能重新算；对方答应过给钱的例外")
            doubt = "这种情况差别很大，"
    left = (last - given.today).days
    if left < 0:
        doubt = (
            "先别放弃：中间催过、投诉过、调解过、对方答应过，都能重新算；"
            "单位在仲裁时没提过期，到法院再提一般不支持（劳动争议司法解释二第20条）。"
        )
        headline = f"申请仲裁的时间可能已经过了（算到{shown(last)}）"
    else:
        headline = f"申请仲裁最晚到{shown(last)}，还剩{left}天" if left else f"申请仲裁最晚就到今天，{shown(last)}"
    notes = ("催要、投诉的证据要存好：微信、录音、回执", "别等最后几天，材料不齐也可以先去递")
    return Result(headline, tuple(steps), last, "日", (law,), warnings=notes, ask_person=doubt)


def _report(given: Given) -> Result:
    day = given.day("event_date")
    employer, worker = limit_end(day, days=30), limit_end(day, years=1)
    left = (worker - given.today).days
    steps = [
        f"单位要在30天内报：{shown(day)}起，到{shown(employer)}",
        f"单位不报，你自己、近亲属或工会一年内可以直接申请：到{shown(worker)}",
    ]
    notes = ["单位30天内没报的，这段时间该由工伤保险付的钱由单位付"]
    doubt = ""
    if left < 0:
        headline = f"申请工伤认定的一年可能已经过了（算到{shown(worker)}）"
        doubt = "先别放弃：因为单位的原因、打劳动关系官司、人身受限等耽误的时间，不算在一年里。"
    else:
        headline = f"自己申请工伤认定最晚到{shown(worker)}，还剩{left}天"
    if given.today <= employer:
        notes.insert(0, f"单位的30天还没过，现在就催它报，还剩{(employer - given.today).days}天")
    citations = (Citation("工伤保险条例", (17,)), Citation("工伤保险行政案件司法解释", (7,)))
    return Result(headline, tuple(steps), worker, "日", citations, warnings=tuple(notes), ask_person=doubt)


ARBITRATION_LIMIT = Calculator(
    key="arbitration_limit",
    title="仲裁最晚到哪天",
    topic="legal.arbitration_time_limit",
    also=("legal.arbitration_procedure",),
    triggers=r"仲裁.{0,10}(?:最晚|哪天|来得及|过没过|过了没|过期了吗|晚不晚|赶得上|还剩)|(?:最晚|哪天|来得及|还剩).{0,10}仲裁",
    inputs=(
        Input(
            "matter",
            "是什么事？",
            "choice",
            choices={
                "working": ("还在职，单位欠工资、加班费", "还在职", "还在上班", "还在干"),
                "left": ("已经离职，要以前欠的工资、加班费", "已经离职", "离职了", "离职", "走了"),
                "other": ("别的事，比如被辞退、没赔偿、没休年假", "别的", "其他", "辞退", "赔偿", "补偿", "开除"),
            },
        ),
        Input(
            "event_date",
            "离职那天，或者你知道吃亏那天，是哪天？",
            "date",
            hints="辞退|离职|开除|被裁|解除|走人|辞职",
            needed=lambda given: given.get("matter") != "working",
        ),
        Input(
            "claimed",
            "那以后，有没有向单位催要过、去投诉过，或者单位答应过给？",
            "choice",
            choices={
                "yes": ("有", "催过", "要过", "投诉过", "答应过", "是"),
                "no": ("没有", "没催", "没要", "从来没", "无", "没"),
            },
            needed=lambda given: given.get("matter") != "working",
        ),
        Input(
            "claim_date",
            "最近一次催要、投诉，或者单位答应，是哪天？",
            "date",
            needed=lambda given: given.get("matter") != "working" and given.get("claimed") == "yes",
        ),
    ),
    work=_arbitration,
)

INJURY_LIMIT = Calculator(
    key="injury_limit",
    title="工伤申报最晚到哪天",
    topic="legal.injury_recognition",
    also=("legal.injury_uninsured", "legal.occupational_disease", "legal.injury_death"),
    triggers=r"工伤.{0,10}(?:最晚|过期|来得及|哪天|过没过|过了没|晚不晚|赶得上)|(?:最晚|来得及|赶得上).{0,10}工伤",
    inputs=(
        Input(
            "event_date",
            "哪天受的伤？是职业病的，说诊断出来那天。",
            "date",
            hints="受伤|摔|砸|压|出事|事故|车祸|伤的|伤了|诊断|确诊|骨折|烫|割|电",
        ),
    ),
    work=_report,
)
