"""Options as Telegram shows them: buttons below a message, or numbered lines where it takes no buttons."""

from __future__ import annotations

from collections.abc import Sequence

from telegram import InlineKeyboardButton, InlineKeyboardMarkup

from connectors.base import Option
from connectors.pages import clean, size
from connectors.telegram_messages import MORE, NUMBERED

LONGEST_DATA = 64
# Buttons as short as these stand beside one another.
_SHORT_LABEL, _IN_A_ROW = 4, 3


def buttons(options: Sequence[Option], *, more: bool) -> InlineKeyboardMarkup | None:
    """One button an option, and with `more` one for the next page; None where there is nothing to tap."""
    made = [
        InlineKeyboardButton(_label(option), callback_data=_data(option, number))
        for number, option in enumerate(options, 1)
    ]
    if all(len(button.text) <= _SHORT_LABEL for button in made):
        rows = [made[start : start + _IN_A_ROW] for start in range(0, len(made), _IN_A_ROW)]
    else:
        rows = [[button] for button in made]
    if more:
        rows.insert(0, [InlineKeyboardButton("看下一段", callback_data=MORE)])
    return InlineKeyboardMarkup(rows) if rows else None


def _label(option: Option) -> str:
    return " ".join(clean(option.label).split()) or option.id


def _data(option: Option, number: int) -> str:
    """The option's id; where it does not fit, the button's number, which comes back as its label."""
    fits = option.id == clean(option.id) and 0 < size(option.id) <= LONGEST_DATA
    return option.id if fits and not option.id.startswith(NUMBERED) else f"{NUMBERED}{number}"


def are_meant(reason: str) -> bool:
    """Whether Telegram refused a message because of its buttons."""
    return any(mark in reason.lower() for mark in ("button", "keyboard", "markup"))


def numbered(text: str, options: Sequence[Option]) -> str:
    """The same options for somebody who has to type."""
    lines = [f"{number}. {_label(option)}" for number, option in enumerate(options, 1)]
    return "\n".join([text, "", *lines])
