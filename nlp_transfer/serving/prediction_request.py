"""The body of a request to predict, within its limits."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.requests import ClientDisconnect, Request

from nlp_transfer.config.serving_options import ServingOptions
from nlp_transfer.data.prediction_rows import usable_text
from nlp_transfer.data.readers.cells import WrongKind
from nlp_transfer.evaluation.predictor import Predictor

_MOST_AT_ONCE = 64_000_000
"""Bytes of all bodies that are being read: memory does not grow with the number of those who send slowly."""

_DROPPED = 10
"""How many times the allowed size is read of a body and dropped, so that its sender gets to read the refusal."""


class Refused(Exception):  # noqa: N818 (an answer, and no fault of the server)
    """A request that is answered with an error: `status`, a message of one line, and in how many seconds to return."""

    def __init__(self, status: int, message: str, retry_after: int | None = None) -> None:
        # What a client sent may stand in it, and half a character cannot be sent back.
        super().__init__(" ".join(message.encode(errors="replace").decode().split()))
        self.status = status
        self.retry_after = retry_after


class PredictionRequest(BaseModel):
    """One text, or many; of a model of pairs each is two texts, of a tagger also a list of words."""

    model_config = ConfigDict(extra="forbid", strict=True)

    text: str | list[str] | None = Field(None, description="One text.", examples=["The bin was not emptied."])
    text_pair: str | None = Field(None, description="Its second text, for a model of pairs.")
    texts: list[Any] | None = Field(
        None, description="Many texts: strings; for a model of pairs [first, second], for a tagger also lists of words."
    )
    model: str | None = Field(None, description="Which of the served models; by default the first one.")
    abstain_below: float | None = Field(
        None, gt=0, le=1, description="Abstain where the probability is less; the best guess stands beside it."
    )
    all_probabilities: bool | None = Field(
        None, description="The probability of every label; by default where the model has them."
    )

    @property
    def is_of_one(self) -> bool:
        """Whether it asks for one text."""
        return self.texts is None

    def items(self) -> list[Any]:
        """The texts as they were sent."""
        if self.texts is not None:
            return self.texts
        return [self.text if self.text_pair is None else [self.text, self.text_pair]]


def parse_request(body: bytes, options: ServingOptions) -> PredictionRequest:
    """The request in a body. Raises Refused: 422 for what is no such JSON, 413 for too many texts."""
    try:
        values = json.loads(body)
        request = PredictionRequest.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        place = ".".join(str(part) for part in first["loc"][:1]) or "the body"
        raise Refused(422, f"{place}: {first['msg']}.") from None
    except (ValueError, RecursionError) as error:
        why = "it is nested too deeply" if isinstance(error, RecursionError) else str(error).partition("\n")[0][:200]
        raise Refused(422, f"the body is no JSON: {why}.") from None
    if (request.text is None) == (request.texts is None):
        raise Refused(422, 'give either "text" or "texts".')
    if request.text_pair is not None and request.text is None:
        raise Refused(422, '"text_pair" goes with "text"; in "texts" each item of a model of pairs is two texts.')
    if len(request.items()) > options.max_texts:
        raise Refused(413, f"{len(request.items()):,} texts; {options.max_texts:,} are allowed in one request.")
    return request


def text_of(item: Any, model: Predictor, most: int) -> Any:
    """What the model takes of a text that was sent; of `most` characters. Raises Refused."""
    parts = item if isinstance(item, list) else [item]
    if not all(isinstance(part, str) for part in parts):
        raise Refused(422, "not a text, nor a list of texts.")
    if model.pairs and not (isinstance(item, list) and len(item) == 2):
        raise Refused(422, 'this model takes pairs of texts: "text" with "text_pair", or lists of two in "texts".')
    if isinstance(item, list) and not (model.pairs or model.labels_words):
        raise Refused(422, "a list where this model takes one text.")
    if (length := sum(map(len, parts))) > most:
        raise Refused(413, f"a text of {length:,} characters; {most:,} are allowed.")
    first, second = item if model.pairs else (item, None)
    try:
        return usable_text(first, "text", second, "text_pair" if model.pairs else None, tagged=model.labels_words)
    except WrongKind as fault:
        raise Refused(422, f"{fault}.") from None


@dataclass
class BodyReader:
    """Reads bodies within the limits of size and time; `reading` counts the bytes of all that are being read."""

    options: ServingOptions
    reading: int = field(default=0, init=False)

    async def read(self, request: Request) -> bytes:
        """The body. Raises Refused: 413 if it is too large, 408 if too slow, 429 if too many are being read."""
        most, size, kept = self.options.max_body_bytes, 0, 0
        parts: list[bytes] = []
        too_large = Refused(413, f"a body of more than {most:,} bytes.")
        try:
            async with asyncio.timeout(self.options.read_timeout):
                async for part in request.stream():
                    size += len(part)
                    if size > _DROPPED * most:
                        raise too_large
                    if size > most:
                        parts.clear()
                        continue
                    self.reading += len(part)
                    kept += len(part)
                    if self.reading > _MOST_AT_ONCE:
                        raise Refused(429, "too many requests are being read.", 1)
                    parts.append(part)
        except TimeoutError:
            seconds = self.options.read_timeout
            raise Refused(408, f"the request had not arrived after {seconds:g} seconds.") from None
        except ClientDisconnect:
            raise Refused(400, "the client has gone.") from None
        finally:
            self.reading -= kept
        if size > most:
            raise too_large
        return b"".join(parts)
