"""Sending one JSON request through a provider's SDK and getting the bytes back, whatever the status.

The SDKs bring authentication, addresses and headers; reading answers strictly is ours, so the parsed objects of the
SDKs, which take any shape, are not used.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar

from pydantic import BaseModel, ValidationError

from sgpbench.errors import ModelError, ModelUnavailable, TransientError
from sgpbench.models.connection import Connection, Servers
from sgpbench.records import Json

if TYPE_CHECKING:
    import httpx2
    from anthropic import AsyncAnthropic
    from openai import AsyncOpenAI

__all__ = ["http_client", "parse", "send", "unreached"]

R = TypeVar("R", bound=BaseModel)


def http_client(timeout_s: float | None, query: Mapping[str, str] | None = None) -> httpx2.AsyncClient:
    """A client for one server, fast with hundreds of requests in flight. ``timeout_s`` is between two bytes."""
    from sgpbench.models.lanes import LaneClient

    return LaneClient(timeout_s, query or {})


async def send(
    clients: Sequence[AsyncOpenAI | AsyncAnthropic],
    sdk_error: type[Exception],
    servers: Servers,
    path: str,
    body: Mapping[str, Json],
    model: str,
    connection: Connection,
) -> httpx2.Response:
    """The answer of the least busy server.

    Raises:
        TransientError: none arrived whole. ModelUnavailable: the server sends us elsewhere.
    """
    import httpx2

    index = servers.take()
    reached = True
    try:
        return await clients[index].post(path, cast_to=httpx2.Response, body=body)
    except sdk_error as error:
        response = getattr(error, "response", None)
        if isinstance(response, httpx2.Response):
            return response
        failure = unreached(model, connection, error.__cause__ or error)
        reached = not isinstance(failure, TransientError) or failure.maybe_billed
        raise failure from None
    finally:
        servers.give_back(index, reached=reached)


def unreached(model: str, connection: Connection, error: BaseException) -> ModelError:
    """The error of a request whose answer did not arrive whole; it may have been billed if it reached the server."""
    import httpx2

    from sgpbench.models.reply_limits import RedirectRefused, ReplyTooLarge, ReplyUnreadable

    words = connection.secrets.clean(str(error))
    if isinstance(error, RedirectRefused):
        return ModelUnavailable(
            f"{model}: {words}. It was not followed.",
            remedy="If that is where the model is, give its address with --model-arg base_url=ADDRESS.",
        )
    if isinstance(error, ReplyTooLarge):
        return TransientError(
            f"{model}: {words}.",
            maybe_billed=True,
            remedy="If the model writes that much, ask for fewer samples at once with --model-arg n=1.",
        )
    if isinstance(error, ReplyUnreadable):
        return TransientError(f"{model}: {words}.", maybe_billed=True)
    reached = not isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout)
    text = f"{model}: {type(error).__name__}{': ' if words else ''}{words}"
    return TransientError(text, maybe_billed=reached)


def parse(schema: type[R], body: bytes | str, model: str) -> R:
    """The body as an object.

    Raises:
        TransientError: it is not JSON of that form (cut, or from a proxy); it may have been billed.
    """
    try:
        return schema.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
    # Raised here, so that the validation's error, which holds all that was read, is not kept as its context.
    where = ".".join(str(part) for part in first["loc"])
    raise TransientError(
        f"{model}: its answer cannot be read: {where + ': ' if where else ''}{first['msg']}", maybe_billed=True
    )
