"""A channel's section of the settings: read from the environment or `.env`, whole or refused."""

from __future__ import annotations

from typing import Any, ClassVar, Self

from pydantic import ModelWrapValidatorHandler, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


class Section(BaseSettings):
    """All empty: the channel is off. Half filled in or malformed: `ValueError` naming each variable in full.

    A section names its `prefix` (`HOTLINE_…_`) and says in `faults` what is missing or wrong.
    """

    model_config = SettingsConfigDict(
        env_file=".env", env_ignore_empty=True, extra="ignore", frozen=True, hide_input_in_errors=True
    )
    prefix: ClassVar[str]

    @classmethod
    def __pydantic_init_subclass__(cls, **_: Any) -> None:
        cls.model_config["env_prefix"] = cls.prefix

    def configured(self) -> bool:
        """Whether the channel is switched on."""
        raise NotImplementedError

    def faults(self) -> list[str]:
        """What keeps the section from being used, in words for the engineer; none when it is well or empty."""
        return []

    @model_validator(mode="wrap")
    @classmethod
    def _whole(cls, data: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        if isinstance(data, dict):
            data = {name: value.strip() if isinstance(value, str) else value for name, value in data.items()}
        try:
            section = handler(data)
        except ValidationError as error:
            found = [
                f"{cls.prefix}{'_'.join(map(str, fault['loc'])).upper()} {fault['msg']}" for fault in error.errors()
            ]
        else:
            found = section.faults()
            if not found:
                return section
        raise ValueError("；".join(found))


def plain(value: str | SecretStr) -> str:
    return value.get_secret_value() if isinstance(value, SecretStr) else value
