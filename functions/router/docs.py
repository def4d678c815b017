"""The page that describes the API. Everything it loads comes from here, so it works without the internet."""

from pathlib import Path

from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.routing import BaseRoute, Route

MEDIA = {
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui.css": "text/css",
    "favicon-32x32.png": "image/png",
}

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

# The page runs our scripts and nobody else's. Swagger UI sets styles on its elements.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; connect-src 'self'; base-uri 'none'; frame-ancestors 'none'"
)
CACHED = {"Cache-Control": "public, max-age=86400"}


def routes(assets: Path) -> list[BaseRoute]:
    """The page, its start and its assets, of which only the named ones are given out."""

    async def page(request: Request) -> Response:
        return HTMLResponse(PAGE, headers={"Content-Security-Policy": POLICY})

    async def start(request: Request) -> Response:
        return Response(START, media_type="text/javascript", headers=CACHED)

    async def asset(request: Request) -> Response:
        name = request.path_params["name"]
        if name not in MEDIA:
            return Response(status_code=404)
        return FileResponse(assets / name, media_type=MEDIA[name], headers=CACHED)

    return [
        Route("/docs", page),
        Route("/docs/start.js", start),
        Route("/docs/assets/{name}", asset),
    ]
