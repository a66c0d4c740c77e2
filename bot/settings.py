"""Every setting of the service, read from the environment or `.env`; a channel brings its own section."""

from __future__ import annotations

import base64
import functools
import secrets
from datetime import time, timedelta
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from connectors.wechat import WeChatSettings

S = TypeVar("S", bound=BaseSettings)


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
    rasa_url: str = Field("", description="Rasa 服务地址；不填只用进程内的引擎")

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
    cookie_secure: bool = Field(False, description="控制台的 cookie 只走 https；有 https 时打开")
    log_level: str = Field("INFO", description="日志级别")

    @field_validator("database_url")
    @classmethod
    def _known_database(cls, value: str) -> str:
        kind = value.partition("://")[0].partition("+")[0]
        if value and kind not in {"postgres", "postgresql", "sqlite"}:
            raise ValueError("应像 postgresql://用户:密码@主机:5432/库名")
        return value

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
def wechat() -> WeChatSettings | None:
    """The WeChat section, or None when the channel is switched off."""
    section = _read(WeChatSettings, "HOTLINE_WECHAT_")
    return section if section.configured() else None


def _read(cls: type[S], prefix: str, **values: Any) -> S:
    try:
        return cls(**values)
    except ValidationError as error:
        raise SettingsError(_explain(error, prefix)) from None
