"""The paths of a server of trained models, as a FastAPI application."""

from __future__ import annotations

import dataclasses
import json
import logging
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from fastapi import FastAPI, Request
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, JSONResponse, Response

from nlp_transfer.config.serving_options import ServingOptions
from nlp_transfer.errors import UserError
from nlp_transfer.evaluation.prediction_columns import PredictionColumns
from nlp_transfer.evaluation.predictor import Predictor
from nlp_transfer.run.html.page_shell import filled
from nlp_transfer.serving.access import Access, ServerState, content_policy
from nlp_transfer.serving.batching import Batcher
from nlp_transfer.serving.prediction_request import BodyReader, PredictionRequest, Refused, parse_request, text_of
from nlp_transfer.serving.served_models import description
from nlp_transfer.serving.server_metrics import CONTENT_TYPE, ServerMetrics
from nlp_transfer.version import __version__

log = logging.getLogger(__name__)

_REFUSALS = {
    401: "the token is missing or wrong",
    404: "no model of that name is served",
    408: "the request arrived too slowly",
    413: "the body, a text or their number is too large",
    422: "the body is no such JSON, or the text is none",
    429: "too many texts wait: come back after Retry-After seconds",
    503: "the models are being loaded, or the server is stopping",
}


def make_application(
    batcher: Batcher, metrics: ServerMetrics, options: ServingOptions, token: str | None, state: ServerState
) -> FastAPI:
    """The application; `batcher` has the models, once they are loaded."""
    # The pages of FastAPI load scripts from another server: GET /docs is one of ours.
    app = FastAPI(
        title="nlp-transfer", version=__version__, docs_url=None, redoc_url=None, openapi_url="/openapi.json",
        description="Predictions of trained models.",
    )  # fmt: skip
    bodies = BodyReader(options)
    page = (files("nlp_transfer.serving") / "try_page.html").read_text(encoding="utf-8")
    page_policy = content_policy(page)

    def model_named(name: str | None) -> tuple[str, Predictor]:
        if not batcher.models:
            raise Refused(503, "the models are being loaded.", 1)
        name = name if name is not None else next(iter(batcher.models))
        if name not in batcher.models:
            raise Refused(404, f"no model '{name[:100]}' is served; there are: {', '.join(batcher.models)}.")
        return name, batcher.models[name]

    @app.post(
        "/predict",
        summary="Predict one text, or many",
        openapi_extra={
            "requestBody": {
                "required": True,
                "content": {"application/json": {"schema": PredictionRequest.model_json_schema()}},
            }
        },
        responses={
            200: {"description": _ANSWER},
            **{status: {"description": why} for status, why in _REFUSALS.items()},
        },
    )
    async def predict(request: Request) -> Response:
        wanted = parse_request(await bodies.read(request), options)
        name, model = model_named(wanted.model)
        columns = _columns_of(wanted, model)
        texts: dict[int, Any] = {}
        results: list[Any] = []
        for place, item in enumerate(wanted.items()):
            results.append(None)
            try:
                texts[place] = text_of(item, model, options.max_text_length)
            except Refused as fault:
                if wanted.is_of_one:
                    raise
                results[place] = {"error": str(fault)}
        predictions = await batcher.submit(name, list(texts.values()))
        for place, prediction in zip(texts, predictions, strict=True):
            results[place] = _answer(prediction, columns, wanted.abstain_below)
        if errors := sum("error" in result for result in results):
            metrics.refused_texts.labels(name).inc(errors)
            if wanted.is_of_one:
                raise Refused(500, results[0]["error"])
        return _json({"model": name, "predictions": results})

    @app.get("/health", summary="Whether the process answers")
    async def health() -> Response:
        return _json({"status": "alive"})

    @app.get("/ready", summary="Whether requests are taken", responses={503: {"description": _REFUSALS[503]}})
    async def ready() -> Response:
        if state.is_stopping or not batcher.models:
            return _json({"status": "stopping" if state.is_stopping else "loading"}, 503)
        return _json({"status": "ready"})

    @app.get("/model", summary="The models: task, labels, scores, data and versions")
    async def model() -> Response:
        model_named(None)
        return _json({"models": [description(*pair) for pair in batcher.models.items()]})

    @app.get("/metrics", summary="Counts and times for Prometheus")
    async def counts() -> Response:
        return Response(metrics.text(), media_type=CONTENT_TYPE)

    @app.get("/", summary="A page to try the models", response_class=HTMLResponse)
    async def try_page() -> Response:
        return HTMLResponse(page, headers={"Content-Security-Policy": page_policy})

    @app.get("/docs", summary="These paths", response_class=HTMLResponse)
    async def docs() -> Response:
        return HTMLResponse(filled("nlp_transfer.serving", "paths_page.html", api=app.openapi()))

    @app.exception_handler(Refused)
    async def refused(_: Request, error: Exception) -> Response:
        assert isinstance(error, Refused)
        after = {} if error.retry_after is None else {"Retry-After": str(error.retry_after)}
        return JSONResponse({"error": str(error)}, error.status, after)

    @app.exception_handler(HTTPException)
    async def not_there(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        message = f"{request.method} {request.url.path[:100]}: {error.detail}; GET /docs lists the paths."
        return JSONResponse({"error": message}, error.status_code, error.headers)

    @app.exception_handler(Exception)
    async def fault(_: Request, error: Exception) -> Response:
        return JSONResponse({"error": "a fault of the server; its log has it."}, 500)

    paths = frozenset(app.openapi()["paths"]) | {"/openapi.json"}
    app.add_middleware(Access, token=token, metrics=metrics, state=state, paths=paths)
    return app


_ANSWER = (
    "The name of the model and a prediction for each text, in their order, with the fields that recipes/predict.py "
    "writes: a label with its probability (and those of all labels), labels, a value, or spans with the characters "
    'where they stand. A text among many that cannot be predicted has "error" in its place.'
)


def _columns_of(wanted: PredictionRequest, model: Predictor) -> PredictionColumns:
    every = not model.no_probabilities if wanted.all_probabilities is None else wanted.all_probabilities
    try:
        return PredictionColumns.of(model, all_probabilities=every, abstain_below=wanted.abstain_below)
    except UserError as error:
        raise Refused(422, str(error).removeprefix("--")) from None


def _answer(prediction: Any, columns: PredictionColumns, abstain_below: float | None) -> Mapping[str, Any]:
    if isinstance(prediction, Exception):
        why = str(prediction) if isinstance(prediction, UserError) else "the model failed on it; the log has it."
        return {"error": why}
    if abstain_below is not None:
        prediction = dataclasses.replace(prediction, abstained=prediction.certainty < abstain_below)
    return columns.row(prediction)


def _json(values: Any, status: int = 200) -> Response:
    return Response(json.dumps(values, ensure_ascii=False), status, media_type="application/json")
