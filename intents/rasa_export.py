"""The knowledge base as Rasa's training data: the same bytes for the same wordings, with a hash that models carry.

Runs on Python 3.10 too: the components of the Rasa project read the data back and hash it with this module.
"""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import yaml

from intents import entities
from intents.features import LEXICON
from intents.questions import OUT_OF_SCOPE, Questions
from intents.text import PINYIN

HASH_SHOWN = 12
"""Characters of the data hash that stand in the name of a model: `hotline-0123456789ab.tar.gz`."""

_FIRST = 'version: "3.1"\nnlu:\n'
_MARKUP = re.compile(r"\](?=[\[({])")
"""`[八千](money)` would be read as an entity: a space keeps such a wording what it is."""


def one_line(text: str) -> str:
    """A wording as Rasa's reader gives it back: one line, single spaces, no markup of entities."""
    return _MARKUP.sub("] ", " ".join(text.split()))


def data_hash(questions: Questions, negatives: Mapping[str, Sequence[str]]) -> str:
    """64 hex digits over every wording with its topic and style, and every negative with its group.

    The order of topics, and wordings said twice, change nothing; the order of wordings does, as it does in training.
    """
    digest = hashlib.sha256()
    for topic in sorted(questions):
        for text, style in dict.fromkeys((one_line(text), style) for text, style in questions[topic]):
            digest.update(f"{topic}\t{style}\t{text}\n".encode())
    for group, texts in negatives.items():
        for text in dict.fromkeys(one_line(text) for text in texts):
            digest.update(f"-\t{_key(group)}\t{text}\n".encode())
    return digest.hexdigest()


def render(questions: Questions, negatives: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """File name → text. Raises `ValueError` when a topic's name would mean something else to Rasa.

    `nlu.yml` has a block a topic and style, the style as Rasa's metadata; `out_of_scope.yml` the negatives as
    retrieval intents `meta.out_of_scope/GROUP`. Lookup tables are the lexicon, synonyms the words in pinyin, regexes
    the entities.
    """
    return {
        "nlu.yml": f"# data {data_hash(questions, negatives)}\n{_FIRST}{''.join(_topics(questions))}",
        "out_of_scope.yml": _FIRST + "".join(_outside(negatives)) + _named(negatives),
        "lookups.yml": _FIRST + "".join(_block("lookup", name, words) for name, words in _lexicon().items()),
        "synonyms.yml": _FIRST + "".join(_block("synonym", word, typed) for word, typed in _spellings().items()),
        "regexes.yml": _FIRST + "".join(_block("regex", kind, [seen]) for kind, seen in entities.patterns().items()),
    }


def domain(topics: Sequence[str]) -> str:
    """`domain.yml` of the Rasa project: the topics as intents, and the kinds of entity."""
    lines = ["# Written by `hotline rasa export`: the topics of the knowledge base and what is found in a message."]
    lines += ['version: "3.1"', "intents:", *(f"  - {topic}" for topic in sorted({*topics, OUT_OF_SCOPE}))]
    lines += ["entities:", *(f"  - {kind}" for kind in entities.patterns())]
    lines += ["session_config:", "  session_expiration_time: 60", "  carry_over_slots_to_new_session: false"]
    return "\n".join(lines) + "\n"


def write(files: Mapping[str, str], folder: Path) -> list[str]:
    """Make `folder` hold exactly these files; the names of those that changed. Files of others in it are removed."""
    folder.mkdir(parents=True, exist_ok=True)
    changed = differing(files, folder)
    for name in changed:
        if name in files:
            fresh = folder / f"{name}.new"
            fresh.write_text(files[name], encoding="utf-8")
            fresh.replace(folder / name)
        else:
            (folder / name).unlink()
    return changed


def differing(files: Mapping[str, str], folder: Path) -> list[str]:
    """Names of the files in `folder` that are missing, stale or strange: empty when it holds just these."""
    here = {path.name: path.read_bytes() for path in sorted(folder.glob("*.yml"))}
    return [
        name for name in sorted({*files, *here}) if here.get(name) != files.get(name, "").encode() or name not in files
    ]


def _topics(questions: Questions) -> Iterator[str]:
    for topic in sorted(questions):
        if not re.fullmatch(r"[a-z0-9_.]+", topic):
            raise ValueError(f"主题名 {topic} 里只能有小写字母、数字、点和下划线")
        wordings = dict.fromkeys((one_line(text), style) for text, style in questions[topic])
        for style, run in itertools.groupby(wordings, key=lambda wording: wording[1]):
            yield _block("intent", topic, [text for text, _ in run], f"  metadata: {{style: {style}}}\n")


def _outside(negatives: Mapping[str, Sequence[str]]) -> Iterator[str]:
    for group, texts in negatives.items():
        yield _block("intent", f"{OUT_OF_SCOPE}/{_key(group)}", dict.fromkeys(one_line(text) for text in texts))


def _named(negatives: Iterable[str]) -> str:
    """A group's name is what a response selector would say of it: Rasa wants an answer to each retrieval intent."""
    return "responses:\n" + "".join(
        f"  utter_{OUT_OF_SCOPE}/{_key(group)}:\n  - text: {_key(group)}\n" for group in negatives
    )


def _lexicon() -> dict[str, list[str]]:
    sheet: dict[str, list[object]] = yaml.safe_load(LEXICON.read_text(encoding="utf-8"))
    return {name: [str(word) for word in words] for name, words in sheet.items()}


def _spellings() -> dict[str, list[str]]:
    words: dict[str, str] = yaml.safe_load(PINYIN.read_text(encoding="utf-8"))
    return {word: [typed for typed, meant in words.items() if meant == word] for word in words.values()}


def _key(group: str) -> str:
    return one_line(group).replace("/", "、").replace(":", "：")


def _block(kind: str, name: str, lines: Iterable[str], more: str = "") -> str:
    shown = "".join(f"    - {line}\n" for line in lines)
    return f"- {kind}: {name}\n{more}  examples: |\n{shown}"
