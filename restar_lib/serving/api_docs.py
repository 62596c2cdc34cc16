"""GET /docs: the API's documentation by Swagger UI, with files of our own.

FastAPI's page loads them from two hosts of others, so that they could change what runs on our page, and a network
without a way out has no documentation. Here everything comes from this process and the page's policy allows nothing
else; no script is inline. The files are those of the package `fastapi-swagger`. There is no /redoc.
"""

from __future__ import annotations

from importlib.resources import files
from typing import Final

from fastapi import FastAPI, HTTPException, Response
from fastapi.responses import HTMLResponse

FILES: Final = {
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui.css": "text/css",
    "favicon-32x32.png": "image/png",
}
"""Of the package, by name: no others are served."""
START: Final = "start.js"
# Addresses are relative, so that the page also works behind a proxy that serves it below a path.
PAGE: Final = f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Re*Star: the HTTP API</title>
<link rel="stylesheet" href="docs/swagger-ui.css">
<link rel="icon" href="docs/favicon-32x32.png">
</head>
<body>
<div id="swagger-ui"></div>
<script src="docs/swagger-ui-bundle.js"></script>
<script src="docs/{START}"></script>
</body>
</html>
"""
START_SCRIPT: Final = """SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  validatorUrl: null,
});
"""
HEADERS: Final = {
    # Icons are data of the style sheet.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
}


def add_docs(app: FastAPI) -> None:
    """Serve /docs and its files. They are read here, once, so that no request waits for the disk."""
    folder = files("fastapi_swagger.resources")
    served = {name: (folder.joinpath(name).read_bytes(), kind) for name, kind in FILES.items()}
    served[START] = (START_SCRIPT.encode(), "text/javascript")

    async def page() -> HTMLResponse:
        return HTMLResponse(PAGE, headers=HEADERS)

    async def file(name: str) -> Response:
        if name not in served:
            raise HTTPException(404, "the documentation has no such file")
        content, kind = served[name]
        return Response(content, media_type=kind, headers=HEADERS | {"Cache-Control": "max-age=3600"})

    app.get("/docs", include_in_schema=False)(page)
    app.get("/docs/{name}", include_in_schema=False)(file)
