"""The routes of the recommender: decode, delegate, encode; nothing else."""

from __future__ import annotations

from typing import Annotated, Any

import orjson
from fastapi import FastAPI, Path, Query, Request
from fastapi.responses import Response

from bento import errors
from bento.recommender import schemas
from bento.recommender.pipeline import Pipeline
from bento.recommender.runtime import Runtime
from feature_repo.events import Id

UserId = Annotated[Id, Path(description="a user")]
ItemId = Annotated[Id, Path(description="an item")]
K = Annotated[int, Query(ge=1, description="how many; at most FRESHET_MAX_K")]


def answer(body: Any) -> Response:
    """A JSON answer."""
    return Response(orjson.dumps(body), media_type="application/json")


def create_app() -> FastAPI:
    """The application; ``bind`` gives it what it answers with."""
    app = FastAPI(
        strict_content_type=False,  # a body without a type is taken for JSON; the door refuses other types
        title="Freshet recommender",
        version="1",
        summary="fresh, labelled recommendations",
        responses=errors.documented(404, 405, 500),
    )
    errors.install(app)
    _add_recommend(app)
    _add_lists(app)
    _add_features(app)
    _add_operation(app)
    return app


def bind(app: FastAPI, runtime: Runtime) -> None:
    """Give the routes what they delegate to."""
    app.state.runtime = runtime


def _runtime(request: Request) -> Runtime:
    runtime: Runtime = request.app.state.runtime
    return runtime


def _pipeline(request: Request) -> Pipeline:
    return _runtime(request).pipeline


def _encoded(request: Request, body: Any) -> Response:
    with _runtime(request).metrics.stage("encode"):
        return answer(body)


def _add_recommend(app: FastAPI) -> None:
    @app.get("/recommend", response_model=schemas.RecommendAnswer, responses=errors.documented(403, 422))
    async def recommend(query: Annotated[schemas.RecommendQuery, Query()], request: Request) -> Response:
        """Items for a user, best first. Never 5xx: what fails behind it is answered by a named fallback."""
        return _encoded(request, await _pipeline(request).recommend(query.ask()))

    @app.post(
        "/recommend", response_model=schemas.RecommendAnswer, responses=errors.documented(400, 403, 413, 415, 422)
    )
    async def recommend_body(body: schemas.RecommendBody, request: Request) -> Response:
        """As GET; also ranks given items, and answers an anonymous visitor from the session's events."""
        return _encoded(request, await _pipeline(request).recommend(body.ask()))


def _add_lists(app: FastAPI) -> None:
    @app.get("/items/{item_id}/similar", response_model=schemas.SimilarAnswer, responses=errors.documented(404, 422))
    async def similar(item_id: ItemId, request: Request, k: K = 10) -> Response:
        """What people go on to after an item, then what is like it by content."""
        return answer(_pipeline(request).similar(item_id, k))

    @app.get("/popular", response_model=schemas.ListAnswer, responses=errors.documented(422))
    async def popular(request: Request, k: K = 10, category: schemas.Category | None = None) -> Response:
        """What everybody likes now, decayed by the week."""
        return answer(_pipeline(request).popular(k, category))


def _add_features(app: FastAPI) -> None:
    @app.get(
        "/users/{user_id}/features",
        response_model=schemas.UserFeaturesAnswer,
        responses=errors.documented(404, 422, 503),
    )
    async def user_features(user_id: UserId, request: Request) -> Response:
        """A user's row as the model reads it, with the profile's segments."""
        return answer(await _pipeline(request).user_features(user_id))

    @app.get(
        "/items/{item_id}/features",
        response_model=schemas.ItemFeaturesAnswer,
        responses=errors.documented(404, 422, 503),
    )
    async def item_features(item_id: ItemId, request: Request) -> Response:
        """An item's counts and catalogue entry."""
        return answer(await _pipeline(request).item_features(item_id))


def _add_operation(app: FastAPI) -> None:
    @app.get("/model", response_model=schemas.ModelAnswer)
    async def model(request: Request) -> Response:
        """The release that is served, its quality, and those that were refused."""
        return answer(_pipeline(request).model())

    @app.get("/health", response_model=schemas.Status)
    async def health() -> Response:
        """Whether the process lives."""
        return answer({"status": "ok"})

    @app.get("/ready", response_model=schemas.Status, responses=errors.documented(503))
    async def ready(request: Request) -> Response:
        """Whether a model is loaded and the items were read."""
        missing = _pipeline(request).missing()
        if missing:
            return errors.error_response(503, "not_ready", "; ".join(missing.values()), missing, {"retry-after": "1"})
        return answer({"status": "ready"})

    @app.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
    async def metrics(request: Request) -> Response:
        """Prometheus."""
        return Response(_runtime(request).metrics.render(), media_type="text/plain; version=0.0.4; charset=utf-8")
