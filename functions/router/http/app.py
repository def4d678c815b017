"""The HTTP application, independent of API Gateway in front of it."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio.to_thread
from starlette import routing
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from contracts.http_errors import (
    PROBLEM_JSON,
    DeadlineExceeded,
    ServingError,
    UnknownModel,
    shown,
    status_document,
)
from contracts.limits import GATEWAY_BODY_BYTES
from contracts.prediction import PredictRequest, parse_request
from contracts.request_body import read_document
from contracts.routes import Route, Routes
from contracts.tasks import WRITING_TASKS, Tier
from functions.router.answering.answers import Answer, Answering
from functions.router.answering.sampling import Sampling
from functions.router.http import docs_page
from functions.router.http.cors import Cors
from functions.router.http.endpoint import Endpoint, described
from functions.router.http.front import Front
from functions.router.http.head import head, log_stand_in, ours
from functions.router.http.keys import authorize
from functions.router.http.middleware import (
    EVENTS,
    HeadMiddleware,
    KeepAliveMiddleware,
    RequestMiddleware,
    problem_response,
    with_head,
)
from functions.router.http.model_list import describe
from functions.router.targets.backends import Backend
from functions.router.targets.drift import Drift, unwatched
from functions.router.targets.health import States
from functions.router.targets.release_registry import Registry, with_released

if TYPE_CHECKING:
    from functions.router.openai.operation import Operation


class Router:
    """The endpoints, over one deployment's routes."""

    def __init__(
        self, routes: Routes, answering: Answering, registry: Registry, front: Front
    ) -> None:
        self.routes, self.answering, self.registry = routes, answering, registry
        self.front = front

    def route(self, model: str) -> Route:
        """Return the model's route; raise UnknownModel."""
        if model not in self.routes.models:
            known = ", ".join(self.routes.models) or "none"
            # The caller chooses the name, so the answer does not repeat it at any length.
            raise UnknownModel(f"no model named {model[:64]!r} is deployed; there is {known}")
        return self.routes.models[model]

    def authorize(self, request: Request) -> str:
        """Return the hash of the caller's key, and log whose it is; raise Unauthorized."""
        name = authorize(request.headers.get("authorization"), self.routes.key_hashes)
        request.scope["turnout"]["key"] = name
        return self.routes.key_hashes[name]

    async def predict(self, request: Request) -> Response:
        """Run a model on one input or a list of inputs."""
        received = self.answering.clock()
        # Before the body: of a caller without a key nothing is parsed.
        key = self.authorize(request)
        route = self.route(request.path_params["model"])
        prediction = parse_request(await self._document(request))
        due, route = await self._due(request, route, prediction, key, received)
        log_fields = request.scope["turnout"]
        given = await self._answer(due, route, log_fields)
        log_stand_in(given.stands_in, given.degraded, log_fields)
        body = {"outputs": given.answer.outputs, "elapsed_ms": given.answer.elapsed_ms}
        return JSONResponse({"model": route.model, **head(given), **body})

    async def chat_completions(self, request: Request) -> Response:
        """Answer chats, in OpenAI's dialect."""
        from functions.router.openai.chat import CHAT

        return await self._in_dialect(CHAT, request)

    async def completions(self, request: Request) -> Response:
        """Continue texts, in OpenAI's dialect."""
        from functions.router.openai.completions import COMPLETIONS

        return await self._in_dialect(COMPLETIONS, request)

    async def embeddings(self, request: Request) -> Response:
        """Compute vectors of texts, in OpenAI's dialect."""
        from functions.router.openai.embeddings import EMBEDDINGS

        return await self._in_dialect(EMBEDDINGS, request)

    async def _in_dialect(self, operation: "Operation", request: Request) -> Response:
        """Answer an operation of OpenAI's dialect; ours are the version and, under `turnout`, what the router did."""
        from functions.router.openai.chunks import check_stream
        from functions.router.openai.errors import error_response

        received = self.answering.clock()
        try:
            key = self.authorize(request)
            asked, prediction = operation.parse(await self._document(request))
            check_stream(asked, self.front.refusal)
            route = self.route(asked["model"])
            operation.check_model(asked, route)
            due, route = await self._due(request, route, prediction, key, received)
            log_fields = request.scope["turnout"]
            if operation.chunks and asked.get("stream"):
                from functions.router.http.event_stream import Asked, event_stream

                request.scope[EVENTS] = True

                wanted = Asked(
                    operation=operation,
                    chunks=operation.chunks,
                    given=asked,
                    request=due,
                    route=route,
                    log_fields=log_fields,
                )
                return await event_stream(wanted, self.answering.attempts)
            given = await self._answer(due, route, log_fields)
        except ServingError as error:
            request.scope["turnout"]["problem"] = error.code
            return error_response(error, operation.places)
        log_stand_in(given.stands_in, given.degraded, log_fields)
        return JSONResponse({**operation.answer(asked, route, given.answer), **ours(given)})

    async def _answer(
        self, due: PredictRequest, route: Route, log_fields: dict[str, Any]
    ) -> Answer:
        """Return the answer; raise a ServingError, which says where a text would have more time."""
        try:
            return await self.answering.answer(due, route, log_fields)
        except DeadlineExceeded as error:
            if route.task not in WRITING_TASKS:
                raise
            raise self.front.late(error) from error

    async def _document(self, request: Request) -> object:
        encoding = request.headers.get("content-encoding")
        return await read_document(request.stream(), encoding, GATEWAY_BODY_BYTES)

    async def _due(
        self, request: Request, route: Route, asked: PredictRequest, key: str, received: float
    ) -> tuple[PredictRequest, Route]:
        """Return the request of a caller with a key of that hash, with its deadline, and its route; log them."""
        # The middleware logs these, whatever becomes of the request after this.
        log_fields: dict[str, Any] = request.scope["turnout"]
        log_fields |= {"model": route.model, "inputs": len(asked.inputs)}
        self.front.check_deadline(asked.deadline_ms)
        due = asked.due(received, self.front.longest_s)
        if due.version:
            route = await anyio.to_thread.run_sync(with_released, self.registry, route, due.version)
        return replace(due, client=due.client or key), route

    async def models(self, request: Request) -> Response:
        """List the models of this deployment."""
        self.authorize(request)
        data = [
            describe(route, self.registry, self.answering) for route in self.routes.models.values()
        ]
        urls = {"urls": self.front.urls} if self.front.urls else {}
        return JSONResponse({"object": "list", "data": data, **urls})

    async def model(self, request: Request) -> Response:
        """Describe one model and its tiers, with the versions that are deployed."""
        self.authorize(request)
        return JSONResponse(
            describe(self.route(request.path_params["model"]), self.registry, self.answering)
        )

    async def health(self, request: Request) -> Response:
        """Report that the router runs; no tier is invoked."""
        return JSONResponse({"status": "ok"})


def create_app(
    routes: Routes,
    backends: Mapping[Tier, Backend],
    registry: Registry,
    assets: Path,
    states: States | None = None,
    sampling: Sampling | None = None,
    drift: Drift = unwatched,
    front: Front | None = None,
) -> Starlette:
    """Return the application over the tiers' backends; `assets` is the folder of the documentation page."""
    answering = Answering(backends, states, sampling=sampling, drift=drift)
    router = Router(routes, answering, registry, front or Front())
    endpoints = endpoints_of(router)
    document: dict[str, Any] = {}

    async def openapi_document(request: Request) -> Response:
        if not document:
            # Few requests need the document, and every cold start would pay for FastAPI.
            from functions.router.http.openapi import complete

            longest_ms = router.front.longest_deadline_ms
            document.update(complete(described(endpoints).openapi(), longest_ms))
            if servers := router.front.servers:
                document["servers"] = servers
        return JSONResponse(document)

    app = Starlette(
        routes=[
            *docs_page.routes(assets),
            routing.Route("/openapi.json", openapi_document),
            *(endpoint.route for endpoint in endpoints),
        ],
        exception_handlers={ServingError: _serving_error, HTTPException: _http_error},
        # The first one is the first to see a request.
        middleware=[
            Middleware(
                RequestMiddleware,
                cors=Cors(origins=routes.cors_origins),
                deployment=routes.deployment,
            ),
            Middleware(HeadMiddleware),
            *kept_alive(router.front),
        ],
    )
    # A path with a slash too many is not part of the API, and a redirect would repeat the Host of the caller's.
    app.router.redirect_slashes = False
    return app


def kept_alive(front: Front) -> list[Middleware]:
    """Return the middleware of a front whose gateway gives up on a response that pauses, before it begins as well."""
    return [Middleware(KeepAliveMiddleware, quiet_s=front.quiet_s)] if front.streams else []


def endpoints_of(router: Router) -> tuple[Endpoint, ...]:
    """Return the API's endpoints; `openapi.py` describes each by the name of its method."""
    model = "/v1/models/{model}"
    return tuple(
        Endpoint(method=method, path=path, tag=tag, summary=summary, run=run)
        for method, path, tag, summary, run in (
            ("POST", f"{model}/predict", "models", "Run a model on texts", router.predict),
            ("POST", "/v1/chat/completions", "openai", "Answer a chat", router.chat_completions),
            ("POST", "/v1/completions", "openai", "Continue texts", router.completions),
            ("POST", "/v1/embeddings", "openai", "Compute the vectors of texts", router.embeddings),
            ("GET", "/v1/models", "models", "List the models", router.models),
            ("GET", model, "models", "Describe a model", router.model),
            ("GET", "/health", "service", "Report that the router runs", router.health),
        )
    )


async def _serving_error(request: Request, error: Exception) -> Response:
    # Starlette's type of a handler is for any exception; it calls this one for ServingErrors alone.
    assert isinstance(error, ServingError)
    request.scope["turnout"]["problem"] = error.code
    return problem_response(error)


async def _http_error(request: Request, error: Exception) -> Response:
    """Answer unknown paths and methods with a problem document, as any other error."""
    assert isinstance(error, HTTPException)
    place = f"{request.method} {shown(request.scope['path'])}"
    detail = f"{place} is not part of this API; GET /docs shows what is"
    headers = {**(error.headers or {})}
    if allowed := headers.get("Allow"):
        headers["Allow"] = with_head(allowed)
    return JSONResponse(
        status_document(error.status_code, detail),
        error.status_code,
        headers=headers,
        media_type=PROBLEM_JSON,
    )
