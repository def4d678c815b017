"""The documentation page. The router serves everything that it loads, so it works without the internet."""

from pathlib import Path

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Route

from contracts.docs.assets import DOCS_ASSETS

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>Turnout: the API</title>
<link rel="icon" href="docs/assets/favicon-32x32.png">
<link rel="stylesheet" href="docs/assets/swagger-ui.css">
</head>
<body>
<div id="page"></div>
<script src="docs/assets/swagger-ui-bundle.js"></script>
<script src="docs/start.js"></script>
</body>
</html>
"""

START = """SwaggerUIBundle({url: "openapi.json", dom_id: "#page", deepLinking: true, validatorUrl: null,
  tryItOutEnabled: true, presets: [SwaggerUIBundle.presets.apis]});
"""

# The page runs the router's own scripts only. Swagger UI sets inline styles on its elements.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; connect-src 'self'; base-uri 'none'; frame-ancestors 'none'"
)
CACHED = {"Cache-Control": "public, max-age=86400"}


def routes(assets: Path) -> list[BaseRoute]:
    """Return the routes of the page, its start script and its assets; no other file of the folder is served."""

    async def page(request: Request) -> Response:
        return HTMLResponse(PAGE, headers={"Content-Security-Policy": POLICY})

    async def start(request: Request) -> Response:
        return Response(START, media_type="text/javascript", headers=CACHED)

    async def asset(request: Request) -> Response:
        name = request.path_params["name"]
        if name not in DOCS_ASSETS:
            raise HTTPException(404)
        # Whole, because a FileResponse answers ranges, whose errors are no problem documents.
        content = await run_in_threadpool((assets / name).read_bytes)
        return Response(content, media_type=DOCS_ASSETS[name], headers=CACHED)

    # Without a key: a browser that opens the page sends none. The requests that are made from it do.
    return [
        Route("/docs", page),
        Route("/docs/start.js", start),
        Route("/docs/assets/{name}", asset),
    ]
