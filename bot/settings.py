"""Every setting of the service, read from the environment or `.env`; a channel brings its own section."""

from __future__ import annotations

import base64
import functools
import re
import secrets
from datetime import time, timedelta
from pathlib import Path
from typing import Annotated, Any, Self, TypeVar
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from connectors.registry import CHANNELS

S = TypeVar("S", bound=BaseSettings)
_ORIGIN = re.compile(r"https?://(?:[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:]+\])(?::\d{1,5})?")


class SettingsError(Exception):
    """A setting that is missing or malformed; the message names the variable and says what to write."""


def _clock(value: str) -> str:
    for span in value.split(","):
        start, _, end = span.strip().partition("-")
        try:
            if time.fromisoformat(start) >= time.fromisoformat(end):
                raise ValueError
        except ValueError:
            raise ValueError(f"{span!r} 不是时间段，应写成 09:00-12:00,13:30-18:00") from None
    return value


def _origins(value: str) -> str:
    """Addresses of web pages as browsers write their origin: scheme, host, port; nothing behind."""
    found = []
    for given in filter(None, (part.strip().rstrip("/") for part in value.split(","))):
        if not _ORIGIN.fullmatch(given.lower()):
            raise ValueError(f"{given!r} 不是网站的地址，应写成 https://www.example.org，逗号分隔，后面不带路径")
        found.append(given.lower())
    return ",".join(found)


class Settings(BaseSettings):
    model_config = SettingsConfigDict(
        env_prefix="HOTLINE_", env_file=".env", env_ignore_empty=True, extra="ignore", frozen=True
    )

    data_dir: Path = Field(Path("var"), description="数据库、模型、密钥文件放在哪个文件夹")
    database_url: str = Field("", description="PostgreSQL 地址；不填用 DATA_DIR 里的 SQLite")
    redis_url: str = Field("", description="Redis 地址；不填随进程启动内嵌的 Valkey")
    secret_key: SecretStr = Field(SecretStr(""), description="签名用的密钥；不填自动生成并存在 DATA_DIR")
    pii_keys: SecretStr = Field(
        SecretStr(""), description="加密个人信息的 Fernet 密钥，逗号分隔，第一把用来加密；不填自动生成并存在 DATA_DIR"
    )
    public_url: str = Field("", description="外面访问本服务的地址，如 https://hotline.example.org")
    rasa_url: str = Field("", description="Rasa 服务地址，如 http://127.0.0.1:5005；不填只用进程内的引擎")
    rasa_token: SecretStr = Field(SecretStr(""), description="Rasa 服务的口令，两边一样；不填用 DATA_DIR/rasa/token")
    rasa_budget_ms: int = Field(300, ge=20, le=2000, description="一条消息最多等 Rasa 多少毫秒，超过就用进程内的引擎")

    answer_at: float | None = Field(None, ge=0, le=1, description="把握不低于它就直接回答；不填用随模型选出的值")
    ask_at: float | None = Field(None, ge=0, le=1, description="把握不低于它就反问三个最像的；不填用随模型选出的值")
    scope_at: float | None = Field(None, ge=0, le=1, description="属于服务范围的把握低于它就说明不归这里管")

    duty_hours: Annotated[str, AfterValidator(_clock)] = Field(
        "09:00-12:00,13:30-18:00", description="工作日人工值守的时间段，逗号分隔"
    )
    worker_rate: int = Field(20, ge=1, description="一位职工一分钟最多处理多少条消息，多的只记录并提醒一次")
    reply_budget: float = Field(4.0, gt=0, le=4.5, description="被动回复最多等几秒，超过就改由发件箱发送")
    login_rate: int = Field(8, ge=1, description="同一账号或地址 10 分钟内最多几次登录失败")
    session_hours: int = Field(12, ge=1, description="控制台登录多少小时后要重新登录")
    widget_origins: Annotated[str, AfterValidator(_origins)] = Field(
        "", description="可以嵌入网页聊天的网站，如 https://www.example.org，逗号分隔；不填就不能嵌入"
    )
    chat_network_rate: int = Field(
        30, ge=1, description="同一网络一分钟新开多少个网页对话起，要先做一道小计算题；十分钟满十倍就拒绝"
    )
    chat_overall_rate: int = Field(300, ge=1, description="所有网络一分钟新开多少个网页对话起，要先做一道小计算题")
    chat_message_rate: int = Field(600, ge=1, description="网页聊天一个地址一分钟最多发多少条")
    cookie_secure: bool = Field(False, description="控制台的 cookie 只走 https；有 https 时打开")
    log_level: str = Field("INFO", description="日志级别")

    file_mb: int = Field(20, ge=1, le=200, description="职工发来的一个文件最大多少 MB")
    s3_url: str = Field("", description="S3 兼容存储的地址；不填存在 DATA_DIR 的 media 文件夹")
    s3_bucket: str = Field("", description="存文件的桶，先建好")
    s3_key: str = Field("", description="S3 的 Access Key")
    s3_secret: SecretStr = Field(SecretStr(""), description="S3 的 Secret Key")
    asr_url: str = Field("", description="语音转文字服务的地址（OpenAI 接口，写到 /v1）；不填请职工打字")
    asr_key: SecretStr = Field(SecretStr(""), description="语音转文字服务的密钥，不要密钥的可以不填")
    asr_model: str = Field("whisper-1", description="语音转文字用哪个模型")
    asr_seconds: float = Field(20.0, gt=0, le=120, description="一段语音最多等几秒转写")

    @field_validator("database_url")
    @classmethod
    def _known_database(cls, value: str) -> str:
        kind = value.partition("://")[0].partition("+")[0]
        if value and kind not in {"postgres", "postgresql", "sqlite"}:
            raise ValueError("应像 postgresql://用户:密码@主机:5432/库名")
        return value

    @field_validator("rasa_url")
    @classmethod
    def _web_address(cls, value: str) -> str:
        parts = urlsplit(value)
        if value and (parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment):
            raise ValueError("应像 http://127.0.0.1:5005，口令写在 HOTLINE_RASA_TOKEN")
        try:
            _ = parts.port
        except ValueError:
            raise ValueError("端口应是 1 到 65535 的数") from None
        return value.rstrip("/")

    @field_validator("s3_url", "asr_url")
    @classmethod
    def _service_address(cls, value: str) -> str:
        parts = urlsplit(value)
        if value and (parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.username):
            raise ValueError("应像 https://storage.example.org，密钥写在另外的设置里")
        return value.rstrip("/")

    @model_validator(mode="after")
    def _whole_sections(self) -> Self:
        s3 = {name: str(getattr(self, name) or "") for name in ("s3_url", "s3_bucket", "s3_key")}
        s3["s3_secret"] = self.s3_secret.get_secret_value()
        if any(s3.values()) and (missing := [f"HOTLINE_{name}".upper() for name, value in s3.items() if not value]):
            raise ValueError(f"{'、'.join(missing)}：用 S3 存文件要四项都填")
        if self.asr_key.get_secret_value() and not self.asr_url:
            raise ValueError("HOTLINE_ASR_URL：填了 HOTLINE_ASR_KEY 就要填")
        return self

    @field_validator("pii_keys")
    @classmethod
    def _fernet_keys(cls, value: SecretStr) -> SecretStr:
        for key in filter(None, value.get_secret_value().split(",")):
            try:
                good = len(base64.urlsafe_b64decode(key.strip())) == 32
            except ValueError:
                good = False
            if not good:
                raise ValueError("每把密钥应是 32 字节的 urlsafe base64（44 个字符）")
        return value

    @property
    def database(self) -> str:
        """The SQLAlchemy URL with an async driver."""
        if not self.database_url:
            return f"sqlite+aiosqlite:///{(self.data_dir / 'hotline.db').resolve()}"
        scheme, _, rest = self.database_url.partition("://")
        driver = {"postgres": "postgresql+asyncpg", "postgresql": "postgresql+asyncpg", "sqlite": "sqlite+aiosqlite"}
        return f"{driver.get(scheme, scheme)}://{rest}"

    @property
    def file_bytes(self) -> int:
        return self.file_mb * 1024 * 1024

    @property
    def session_lasts(self) -> timedelta:
        return timedelta(hours=self.session_hours)

    def secret(self) -> bytes:
        """The key for signatures and keyed hashes."""
        return (self.secret_key.get_secret_value() or _kept(self.data_dir / "secret.key")).encode()

    def fernet_keys(self) -> list[str]:
        """Keys for personal data, the first one encrypts."""
        given = [key.strip() for key in self.pii_keys.get_secret_value().split(",") if key.strip()]
        return given or [_kept(self.data_dir / "pii.key")]


def _kept(path: Path) -> str:
    """A random key that is made once and kept in a file only we can read."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_suffix(f".{secrets.token_hex(4)}")
        fresh.touch(mode=0o600)
        fresh.write_text(base64.urlsafe_b64encode(secrets.token_bytes(32)).decode())
        try:
            path.hardlink_to(fresh)
        except FileExistsError:
            pass
        finally:
            fresh.unlink()
    return path.read_text().strip()


def _explain(error: ValidationError, prefix: str) -> str:
    lines = []
    for item in error.errors():
        name = "".join(str(part) for part in item["loc"]).upper()
        message = item["msg"].removeprefix("Value error, ")
        lines.append(f"{prefix}{name}：{message}" if name else message)
    return "；".join(lines)


@functools.cache
def settings() -> Settings:
    """The settings of this process, read once.

    Raises `SettingsError` that names the variable.
    """
    return _read(Settings, "HOTLINE_")


@functools.cache
def sections() -> dict[str, Any]:
    """The section of each channel, by the channel's name, switched on or not.

    Raises `SettingsError` when one is half set.
    """
    return {name: _read(channel.section, channel.section.prefix) for name, channel in CHANNELS.items()}


def _read(cls: type[S], prefix: str, **values: Any) -> S:
    try:
        return cls(**values)
    except ValidationError as error:
        raise SettingsError(_explain(error, prefix)) from None
