"""The container files against the code: stages, copies, lock file, services, health checks, and every setting."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest
import typer
import yaml
from dotenv import dotenv_values
from pydantic import SecretStr
from pydantic_settings import BaseSettings

from bot.__main__ import app
from bot.settings import Settings
from connectors.telegram_settings import TelegramSettings
from connectors.wechat_settings import WeChatSettings
from connectors.wecom_settings import WeComSettings

ROOT = Path(__file__).resolve().parent.parent
DOCKER = ROOT / "docker"
ENV_EXAMPLE = DOCKER / ".env.example"
KNOWN = (
    {f"HOTLINE_{name}".upper() for name in Settings.model_fields}
    | {f"HOTLINE_WECHAT_{name}".upper() for name in WeChatSettings.model_fields}
    | {f"HOTLINE_WECOM_{name}".upper() for name in WeComSettings.model_fields}
    | {f"HOTLINE_TELEGRAM_{name}".upper() for name in TelegramSettings.model_fields}
)
S = TypeVar("S", bound=BaseSettings)
OURS = ("prepare", "bot", "worker")
Read = Callable[[str], tuple[Settings, WeChatSettings]]


def _instructions(file: str) -> list[tuple[str, str]]:
    """`(instruction, arguments)` of the Dockerfile, comments and line breaks taken out."""
    lines = [line for line in (DOCKER / file).read_text().splitlines() if not line.startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    return [(word, rest.strip()) for word, _, rest in (line.partition(" ") for line in joined.splitlines() if line)]


def _stages(file: str = "Dockerfile") -> dict[str, list[tuple[str, str]]]:
    """Instructions by stage, in order; the last stage, which has no name, is called `runtime`."""
    stages: dict[str, list[tuple[str, str]]] = {}
    name = ""
    for word, rest in _instructions(file):
        if word == "FROM":
            image, _, alias = rest.partition(" AS ")
            name = alias or "runtime"
            stages[name] = [(word, image)]
        else:
            stages[name].append((word, rest))
    return stages


def _all(stage: str, word: str, file: str = "Dockerfile") -> list[str]:
    return [rest for found, rest in _stages(file)[stage] if found == word]


def _begin(section: type[S]) -> S:
    return section(_env_file=".env")


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Read:
    """The settings of a process that starts beside a `.env` with this text, and nothing in its environment."""
    for name in [name for name in os.environ if name.startswith("HOTLINE_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)

    def start(text: str) -> tuple[Settings, WeChatSettings]:
        (tmp_path / ".env").write_text(text)
        return _begin(Settings), _begin(WeChatSettings)

    return start


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((DOCKER / "compose.yaml").read_text())
    return found


def test_the_image_has_three_stages_and_the_last_one_builds_nothing() -> None:
    stages = _stages()
    assert list(stages) == ["node", "build", "runtime"]
    assert stages["build"][0] == stages["runtime"][0] == ("FROM", "python:3.11-slim-bookworm")
    assert not re.search(r"\b(pip|npm|apt-get|gcc)\b", "\n".join(_all("runtime", "RUN")))


def test_images_are_named_without_a_registry_and_with_a_version(compose: dict[str, Any]) -> None:
    files = ("Dockerfile", "rasa.Dockerfile")
    images = [rest for file in files for stage in _stages(file).values() for word, rest in stage if word == "FROM"]
    images += [service["image"] for service in compose["services"].values()]
    for image in images:
        assert re.fullmatch(r"(?:[a-z-]+/)?[a-z-]+:\d[\w.-]*", image), image


@pytest.mark.parametrize("file", ["Dockerfile", "rasa.Dockerfile"])
def test_what_is_copied_exists_and_reaches_the_builder(file: str) -> None:
    let_in = {line[1:] for line in (DOCKER / f"{file}.dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = set()
    for stage in ("build", "runtime"):
        for line in _all(stage, "COPY", file):
            words = shlex.split(line)
            if words[0].startswith("--from="):
                assert words[0].removeprefix("--from=") in _stages(file)
            else:
                copied |= set(words[:-1])
    assert {name for name in copied if not {str(parent) for parent in Path(name).parents} & let_in} == let_in
    assert all((ROOT / name).exists() for name in copied)


def test_every_package_of_the_project_is_in_the_image() -> None:
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests"}
    assert packages <= {shlex.split(line)[0] for line in _all("build", "COPY")}


def test_dependencies_come_from_the_lock_file_by_hash() -> None:
    runs = _all("build", "RUN")
    installs = [line for line in runs if "pip install" in line]
    assert "--require-hashes -r requirements.lock" in installs[0]
    assert all("--require-hashes" in line or "--no-deps" in line for line in installs)
    lock = (ROOT / "requirements.lock").read_text()
    requirements = re.findall(r"^([A-Za-z0-9_.-]+)==\S+(.*?)(?=^\S|\Z)", lock, re.S | re.M)
    assert requirements
    assert all("--hash=sha256:" in rest for _, rest in requirements)
    assert "://" not in lock


def test_the_build_fetches_the_pages_and_trains_the_model_that_the_service_loads() -> None:
    runs = "\n".join(_all("build", "RUN"))
    assert "-m bot.console.vendor" in runs
    assert "HOTLINE_DATA_DIR=built .venv/bin/hotline kb train" in runs
    assert "ln -s /srv/hotline/built/model /data/model" in "\n".join(_all("runtime", "RUN"))


def test_the_service_is_nobody_special_and_can_be_watched() -> None:
    (user,) = _all("runtime", "USER")
    assert user not in {"root", "0"}
    assert "useradd --uid 10001" in _all("runtime", "RUN")[0]
    assert _stages()["runtime"].index(("USER", user)) > max(
        place for place, (word, _) in enumerate(_stages()["runtime"]) if word in {"RUN", "COPY"}
    )
    assert "/healthz" in _all("runtime", "HEALTHCHECK")[0]
    assert json.loads(_all("runtime", "CMD")[0])[:3] == ["hotline", "serve", "--host"]
    (volume,) = _all("runtime", "VOLUME")
    assert f"HOTLINE_DATA_DIR={volume}" in _all("runtime", "ENV")[0]
    assert _all("runtime", "STOPSIGNAL") == ["SIGINT"]


def test_the_commands_in_the_containers_exist(compose: dict[str, Any]) -> None:
    root = typer.main.get_command(app)
    lines = [_all("runtime", "CMD")[0], *_all("build", "RUN")]
    lines += [" ".join(service.get("command", [])) for service in compose["services"].values()]
    asked = [
        words for line in lines for words in re.findall(r"(?:^|[\s/\"])hotline\"?,? \"?([a-z]+(?: [a-z]+)*)", line)
    ]
    assert len(asked) >= 5
    for words in asked:
        here: Any = root
        for word in words.split():
            here = here.commands[word]


def test_compose_has_the_services_and_their_health(compose: dict[str, Any]) -> None:
    services = compose["services"]
    assert set(services) == {*OURS, "postgres", "redis", "rasa"}
    for name in ("bot", "worker", "postgres", "redis", "rasa"):
        assert services[name]["restart"] == "unless-stopped"
        assert services[name]["healthcheck"]["test"]
    assert services["prepare"]["restart"] == "no"
    for name in ("bot", "worker"):
        assert services[name]["depends_on"] == {
            "prepare": {"condition": "service_completed_successfully"},
            "postgres": {"condition": "service_healthy"},
            "redis": {"condition": "service_healthy"},
        }


def test_only_the_server_is_reached_and_only_from_this_machine(compose: dict[str, Any]) -> None:
    services = compose["services"]
    assert [name for name, service in services.items() if "ports" in service] == ["bot"]
    assert services["bot"]["ports"] == ["127.0.0.1:${PORT:-8000}:8000"]
    assert compose["networks"]["store"]["internal"] is True
    assert [services[name]["networks"] for name in ("postgres", "redis", "rasa")] == [["store"]] * 3


def test_our_services_share_image_data_and_settings(compose: dict[str, Any]) -> None:
    for name in OURS:
        service = compose["services"][name]
        assert (
            DOCKER / service["build"]["context"] / service["build"]["dockerfile"]
        ).resolve() == DOCKER / "Dockerfile"
        assert service["env_file"] == ".env"
        assert "data:/data" in service["volumes"]
        given = {key for key in service["environment"] if key.startswith("HOTLINE_")}
        assert given == {"HOTLINE_DATA_DIR", "HOTLINE_DATABASE_URL", "HOTLINE_REDIS_URL"}
        assert given <= KNOWN
    for service in compose["services"].values():
        for volume in service.get("volumes", []):
            assert volume.partition(":")[0] in compose["volumes"]


def test_rasa_is_a_matter_of_choice_and_wants_a_token(compose: dict[str, Any]) -> None:
    rasa = compose["services"]["rasa"]
    assert rasa["profiles"] == ["rasa"]
    assert not any("rasa" in service.get("depends_on", {}) for service in compose["services"].values())
    assert rasa["environment"] == {"HOTLINE_RASA_TOKEN": "${HOTLINE_RASA_TOKEN:-}"}
    assert (DOCKER / rasa["build"]["context"] / rasa["build"]["dockerfile"]).resolve() == DOCKER / "rasa.Dockerfile"
    assert "/status?token=" in rasa["healthcheck"]["test"][-1]


def test_the_image_of_rasa_trains_in_the_build_and_serves_as_nobody_special() -> None:
    stages = _stages("rasa.Dockerfile")
    assert list(stages) == ["build", "runtime"]
    assert stages["build"][0] == stages["runtime"][0] == ("FROM", "python:3.10-slim-bookworm")
    built, served = "\n".join(_all("build", "RUN", "rasa.Dockerfile")), stages["runtime"]
    assert "pip install --no-deps --require-hashes -r intents/rasa/requirements.lock" in built
    assert "--out /srv/hotline/models --fixed-model-name" in built
    assert served[-1][0] == "CMD"
    command = json.loads(served[-1][1])
    assert command[command.index("--model") + 1] == "/srv/hotline/models"
    (user,) = _all("runtime", "USER", "rasa.Dockerfile")
    assert user not in {"root", "0"}
    assert served.index(("USER", user)) > max(
        place for place, (word, _) in enumerate(served) if word in {"RUN", "COPY"}
    )
    assert "/status?token=" in _all("runtime", "HEALTHCHECK", "rasa.Dockerfile")[0]


def test_the_modules_that_the_image_of_rasa_runs_exist() -> None:
    lines = [*_all("build", "RUN", "rasa.Dockerfile"), *_all("runtime", "CMD", "rasa.Dockerfile")]
    modules = {name for line in lines for name in re.findall(r"-m\"?,? \"?(components\.\w+)", line)}
    assert modules == {"components.export", "components.service"}
    assert all((ROOT / "intents" / "rasa" / (name.replace(".", "/") + ".py")).exists() for name in modules)


def test_the_addresses_in_compose_are_those_of_its_services(compose: dict[str, Any], read: Read) -> None:
    environment = compose["services"]["bot"]["environment"]
    filled = re.sub(r"\$\{POSTGRES_PASSWORD[^}]*\}", "s3cret", environment["HOTLINE_DATABASE_URL"])
    settings, _ = read(f"HOTLINE_DATABASE_URL={filled}\nHOTLINE_REDIS_URL={environment['HOTLINE_REDIS_URL']}")
    assert settings.database == "postgresql+asyncpg://hotline:s3cret@postgres:5432/hotline"
    assert settings.redis_url == "redis://redis:6379/0"
    assert {"postgres", "redis"} <= set(compose["services"])
    assert compose["services"]["postgres"]["environment"]["POSTGRES_DB"] == "hotline"
    assert compose["services"]["postgres"]["environment"]["POSTGRES_USER"] == "hotline"


def test_no_secret_stands_in_compose() -> None:
    text = (DOCKER / "compose.yaml").read_text()
    assert len(re.findall(r"PASSWORD: \$\{POSTGRES_PASSWORD:\?", text)) == 1
    assert not re.search(r"PASSWORD: (?!\$)", text)


def test_the_example_has_every_setting_with_its_default_and_a_word_about_it(read: Read) -> None:
    values = dotenv_values(ENV_EXAMPLE)
    interpolated = set(re.findall(r"\$\{(\w+)", (DOCKER / "compose.yaml").read_text()))
    assert set(values) == KNOWN | interpolated
    assert read(ENV_EXAMPLE.read_text()) == read("")
    plain = {"HOTLINE_WECHAT_APP_ID"}
    lines = ENV_EXAMPLE.read_text().splitlines()
    for place, line in enumerate(lines):
        name = line.partition("=")[0]
        if name in KNOWN - plain:
            assert re.match(r"# (?!-)", lines[place - 1]), f"{name} is not explained"


def test_a_value_in_the_example_is_the_default_itself() -> None:
    """Not left empty where the code has a default: what stands there is what applies."""
    values = dotenv_values(ENV_EXAMPLE)
    for section, prefix in (
        (Settings, "HOTLINE_"),
        (WeChatSettings, "HOTLINE_WECHAT_"),
        (WeComSettings, "HOTLINE_WECOM_"),
        (TelegramSettings, "HOTLINE_TELEGRAM_"),
    ):
        for name, field in section.model_fields.items():
            default = field.default.get_secret_value() if isinstance(field.default, SecretStr) else field.default
            shown = "" if default is None else str(default).lower() if isinstance(default, bool) else str(default)
            assert values[f"{prefix}{name}".upper()] == shown


def test_a_filled_in_example_makes_a_valid_service(read: Read) -> None:
    filled = ENV_EXAMPLE.read_text()
    for name, value in {
        "HOTLINE_PII_KEYS": "A" * 43 + "=," + "B" * 43 + "=",
        "HOTLINE_SECRET_KEY": "anything",
        "HOTLINE_WECHAT_TOKEN": "token",
        "HOTLINE_WECHAT_APP_ID": "wx0123456789abcdef",
        "HOTLINE_WECHAT_APP_SECRET": "secret",
        "HOTLINE_WECHAT_AES_KEY": "A" * 43,
    }.items():
        filled = re.sub(rf"^{name}=$", f"{name}={value}", filled, flags=re.M)
    settings, wechat = read(filled)
    assert len(settings.fernet_keys()) == 2
    assert wechat.configured()


def test_the_key_command_in_the_example_makes_a_key_that_is_taken(read: Read) -> None:
    command = next(line[2:] for line in ENV_EXAMPLE.read_text().splitlines() if line.startswith("# python3 -c"))
    done = subprocess.run([sys.executable, *shlex.split(command)[1:]], capture_output=True, text=True, check=True)
    settings, _ = read(f"HOTLINE_PII_KEYS={done.stdout.strip()}")
    assert settings.fernet_keys() == [done.stdout.strip()]


def test_local_data_and_keys_stay_out_of_the_image() -> None:
    for file in ("Dockerfile", "rasa.Dockerfile"):
        lines = (DOCKER / f"{file}.dockerignore").read_text().splitlines()
        rules = [line for line in lines if line and not line.startswith("#")]
        assert rules[0] == "*"
        assert "**/.env" in rules
        assert not {"!var", "!.env", "!docker"} & set(rules)
