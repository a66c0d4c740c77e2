"""All calculators, and which one a worker's words call for."""

from __future__ import annotations

import re

from knowledge_base.calculators.annual_leave import ANNUAL_LEAVE
from knowledge_base.calculators.calculation import Calculator
from knowledge_base.calculators.double_pay import DOUBLE_PAY
from knowledge_base.calculators.injury import INJURY_DEATH, INJURY_GRANTS
from knowledge_base.calculators.limits import ARBITRATION_LIMIT, INJURY_LIMIT
from knowledge_base.calculators.numerals import plain
from knowledge_base.calculators.overtime import OVERTIME
from knowledge_base.calculators.severance import SEVERANCE
from knowledge_base.calculators.sickness import MEDICAL_PERIOD
from knowledge_base.calculators.unemployment import UNEMPLOYMENT
from knowledge_base.calculators.wages import MINIMUM_WAGE, SICK_PAY

CALCULATORS: dict[str, Calculator] = {
    each.key: each
    for each in (
        DOUBLE_PAY,
        OVERTIME,
        ANNUAL_LEAVE,
        MINIMUM_WAGE,
        SICK_PAY,
        MEDICAL_PERIOD,
        INJURY_DEATH,
        INJURY_GRANTS,
        INJURY_LIMIT,
        UNEMPLOYMENT,
        ARBITRATION_LIMIT,
        SEVERANCE,
    )
}
"""By key. Where the triggers of two match and the topic does not decide, the earlier one is meant."""


def for_topic(topic: str) -> tuple[Calculator, ...]:
    """What can be worked out for this topic, its own calculators first."""
    own = [each for each in CALCULATORS.values() if each.topic == topic]
    return (*own, *(each for each in CALCULATORS.values() if topic in each.also))


def wanted(text: str, topic: str | None = None) -> Calculator | None:
    """The calculator that `text` asks for in so many words; None when it asks for no sum.

    Where the topic is known, only its own calculators count: 打坏东西赔多少 is no severance.
    """
    choice = CALCULATORS.values() if topic is None else for_topic(topic)
    return next((each for each in choice if re.search(each.triggers, plain(text[:1000]))), None)
