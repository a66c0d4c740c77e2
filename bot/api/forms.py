"""What the page and the server say to one another: the shapes, and how a body is read into one."""

from __future__ import annotations

from typing import Any, TypeVar

from fastapi import Request
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bot.api.crowd import Proof, Puzzle
from bot.console.pages import BODY_CAP
from bot.errors import HotlineError, Invalid
from connectors import webchat

Shape = TypeVar("Shape", bound=BaseModel)


class TooLarge(HotlineError):
    status = 413


class Said(BaseModel):
    """One message of the page. `id` is made by the page and the same on every try."""

    model_config = ConfigDict(extra="forbid", strict=True)

    # Checked where every channel's message is made; said here for whoever reads the description.
    id: str = Field(json_schema_extra={"pattern": "^[A-Za-z0-9_-]{1,64}$"})
    text: str = Field("", json_schema_extra={"maxLength": webchat.LONGEST})
    option: str | None = None


class Asked(BaseModel):
    """What a page brings when it asks for a session."""

    model_config = ConfigDict(extra="forbid", strict=True)

    proof: Proof | None = None


class Entered(BaseModel):
    """A code as somebody typed it."""

    model_config = ConfigDict(extra="forbid", strict=True)

    code: str = Field(max_length=80)


class Begun(BaseModel):
    """`token` is for a page that keeps the signed id itself."""

    ok: bool
    token: str | None = None


class Given(BaseModel):
    """A code that opens this thread on another device, within so many minutes, once."""

    code: str
    minutes: int


class Trouble(BaseModel):
    """Every refusal, in words for the visitor."""

    error: str


class Puzzled(Trouble):
    puzzle: Puzzle


def refusals(*codes: int) -> dict[int | str, dict[str, Any]]:
    return {code: {"model": Trouble} for code in codes}


def described(shape: type[BaseModel], *, required: bool = True) -> dict[str, Any]:
    """The body for the description of a route that reads it by `read`."""
    return {
        "requestBody": {"required": required, "content": {"application/json": {"schema": shape.model_json_schema()}}}
    }


async def read(request: Request, shape: type[Shape], *, empty: bytes = b"") -> Shape:
    """The body of a request; `empty` stands for one that has none. Raises `TooLarge` and `Invalid`."""
    return parse(shape, await _whole(request) or empty)


def parse(shape: type[Shape], body: bytes) -> Shape:
    """Raises `Invalid` for anything that is not in this shape."""
    try:
        return shape.model_validate_json(body)
    except ValidationError:
        raise Invalid("消息的格式不对，请刷新页面再试") from None


async def _whole(request: Request) -> bytes:
    """Raises `TooLarge` as soon as there is more than a message can be; the rest is not read."""
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > BODY_CAP:
            raise TooLarge("一次说得太长了，请分几条发")
    return bytes(body)
