"""Write the training data where the hotline itself is not installed: `python -m components.export KNOWLEDGE FOLDER`."""

from __future__ import annotations

import sys
from pathlib import Path

import components  # noqa: F401 - before the modules of `intents`

from intents import rasa_export
from intents.questions import read_negatives, read_questions


def main(knowledge: Path, folder: Path) -> None:
    """Write the files; prints the name that a model trained from them has."""
    questions, negatives = read_questions(knowledge / "articles"), read_negatives(knowledge / "negatives.yaml")
    rasa_export.write(rasa_export.render(questions, negatives), folder)
    shown = rasa_export.data_hash(questions, negatives)[: rasa_export.HASH_SHOWN]
    sys.stdout.write(f"hotline-{shown}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
