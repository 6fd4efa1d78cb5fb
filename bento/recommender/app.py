"""The routes of the recommender: decode, delegate, encode; nothing else."""

from __future__ import annotations

from typing import Annotated, Any

import orjson
from fastapi import FastAPI, Path, Query, Request
from fastapi.responses import Response

from bento import errors
from bento.access.document import secured
from bento.recommender import schemas
from bento.recommender.direct import DirectRoute
from bento.recommender.lookups import Lookups
from bento.recommender.needs import needs
from bento.recommender.pipeline import Pipeline
from bento.recommender.runtime import Runtime
from feature_repo.events import Id

UserId = Annotated[Id, Path(description="a user")]
ItemId = Annotated[Id, Path(description="an item")]
K = Annotated[int, Query(ge=1, description="how many; at most FRESHET_MAX_K")]

JSON_TYPE = (b"content-type", b"application/json")


class Json(Response):
    """A body of JSON with the two headers that it needs: a Response that encodes neither a second time."""

    def __init__(self, body: bytes) -> None:
        self.status_code = 200
        self.background = None
        self.body = body
        self.raw_headers = [(b"content-length", b"%d" % len(body)), JSON_TYPE]


def answer(body: Any) -> Response:
    """A JSON answer."""
    return Json(orjson.dumps(body))


def create_app() -> FastAPI:
    """The application; ``bind`` gives it what it answers with."""
    app = FastAPI(
        strict_content_type=False,  # a body without a type is taken for JSON; the door refuses other types
        title="Freshet recommender",
        version="1",
        summary="fresh, labelled recommendations",
        responses=errors.documented(404, 405, 431, 500),
    )
    app.router.route_class = DirectRoute
    errors.install(app)
    _add_recommend(app)
    _add_lists(app)
    _add_features(app)
    _add_operation(app)
    _add_admin(app)
    described = app.openapi
    app.openapi = lambda: secured(described(), needs)  # type: ignore[method-assign]
    return app


def bind(app: FastAPI, runtime: Runtime) -> None:
    """Give the routes what they delegate to."""
    app.state.runtime = runtime


def _runtime(app: FastAPI) -> Runtime:
    runtime: Runtime = app.state.runtime
    return runtime


def _pipeline(app: FastAPI) -> Pipeline:
    return _runtime(app).pipeline


def _lookups(app: FastAPI) -> Lookups:
    return _runtime(app).lookups


def _encoded(app: FastAPI, body: Any) -> Response:
    with _runtime(app).metrics.stage("encode"):
        return answer(body)


def _add_recommend(app: FastAPI) -> None:
    @app.get("/recommend", response_model=schemas.RecommendAnswer, responses=errors.documented(403, 422, 429))
    async def recommend(query: Annotated[schemas.RecommendQuery, Query()]) -> Response:
        """Items for a user, best first. Never 5xx: what fails behind it is answered by a named fallback."""
        return _encoded(app, await _pipeline(app).recommend(query.ask()))

    @app.post(
        "/recommend", response_model=schemas.RecommendAnswer, responses=errors.documented(400, 403, 413, 415, 422, 429)
    )
    async def recommend_body(body: schemas.RecommendBody) -> Response:
        """As GET; also ranks given items, and answers an anonymous visitor from the session's events."""
        return _encoded(app, await _pipeline(app).recommend(body.ask()))


def _add_lists(app: FastAPI) -> None:
    @app.get(
        "/items/{item_id}/similar", response_model=schemas.SimilarAnswer, responses=errors.documented(404, 422, 429)
    )
    async def similar(item_id: ItemId, k: K = 10) -> Response:
        """What people go on to after an item, then what is like it by content."""
        return answer(_lookups(app).similar(item_id, k))

    @app.get("/popular", response_model=schemas.ListAnswer, responses=errors.documented(422, 429))
    async def popular(
        k: K = 10, category: schemas.Category | None = None, order: schemas.ListOrder = "popular"
    ) -> Response:
        """What everybody likes now, decayed by the week; or what rises; or what is new."""
        return answer(_lookups(app).popular(k, category, order))


def _add_features(app: FastAPI) -> None:
    @app.get(
        "/users/{user_id}/features",
        response_model=schemas.UserFeaturesAnswer,
        responses=errors.documented(404, 422, 429, 503),
    )
    async def user_features(user_id: UserId) -> Response:
        """A user's row as the model reads it, with the profile's segments."""
        return answer(await _lookups(app).user_features(user_id))

    @app.get(
        "/items/{item_id}/features",
        response_model=schemas.ItemFeaturesAnswer,
        responses=errors.documented(404, 422, 429, 503),
    )
    async def item_features(item_id: ItemId) -> Response:
        """An item's counts and catalogue entry."""
        return answer(await _lookups(app).item_features(item_id))


def _add_operation(app: FastAPI) -> None:
    @app.get("/model", response_model=schemas.ModelAnswer, responses=errors.documented(429))
    async def model() -> Response:
        """The release that is served, its quality, and those that were refused."""
        return answer(_lookups(app).model())

    @app.get("/experiments", response_model=schemas.ExperimentsAnswer, responses=errors.documented(429, 503))
    async def experiments() -> Response:
        """All experiments, those that run first, with results that may be looked at whenever one likes."""
        return answer(await _runtime(app).experiments.results())

    @app.get("/health", response_model=schemas.Status)
    async def health() -> Response:
        """Whether the process lives."""
        return answer({"status": "ok"})

    @app.get("/ready", response_model=schemas.Status, responses=errors.documented(503))
    async def ready() -> Response:
        """Whether a model is loaded, the items were read, and the process is not about to stop."""
        missing = _runtime(app).missing()
        if missing:
            return errors.error_response(503, "not_ready", "; ".join(missing.values()), missing, {"retry-after": "1"})
        return answer({"status": "ready"})

    @app.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
    async def metrics() -> Response:
        """Prometheus; of several workers, their sum."""
        return Response(_runtime(app).metrics.render(), media_type="text/plain; version=0.0.4; charset=utf-8")


def _add_admin(app: FastAPI) -> None:
    refusals = (400, 401, 403, 409, 413, 415, 422, 503)

    @app.post("/model/rollback", response_model=schemas.RollbackAnswer, responses=errors.documented(*refusals))
    async def rollback(request: Request, body: schemas.RollbackBody | None = None) -> Response:
        """Serve the release before again: here at once, everywhere when the registry has heard."""
        reason = schemas.BY_HAND if body is None else body.reason
        return answer(await _runtime(app).admin.roll_back(request.scope, reason))

    @app.post("/model/promote", response_model=schemas.PromoteAnswer, responses=errors.documented(404, *refusals))
    async def promote(request: Request, body: schemas.PromoteBody) -> Response:
        """Let the champion alias name a version, which is then loaded, tried on a share of the users, and served."""
        return answer(await _runtime(app).admin.promote(request.scope, body.version))
