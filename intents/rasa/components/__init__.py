"""The hotline's parts of the Rasa pipeline. They import the framework-free modules of `intents` as they are."""

import enum

if not hasattr(enum, "StrEnum"):
    # Those modules are written for Python 3.11; this is all that 3.10 lacks of it.
    class StrEnum(str, enum.Enum):
        """A string that is one of a few."""

        __str__ = str.__str__
        __format__ = str.__format__

    enum.StrEnum = StrEnum
