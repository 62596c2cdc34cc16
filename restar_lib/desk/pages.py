"""HTML pages from templates, always escaped; what a page needs is passed in, nothing is looked up here."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from fastapi.responses import HTMLResponse
from jinja2 import Environment

from restar_lib.reports.templates import environment_of
from restar_lib.settings import Settings

HERE = Path(__file__).resolve().parent
STATIC = {
    "desk.css": "text/css",
    "desk.js": "text/javascript",
    "theme.js": "text/javascript",
    "label-desk.svg": "image/svg+xml",
    "label-desk-dark.svg": "image/svg+xml",
    "reports.svg": "image/svg+xml",
    "reports-dark.svg": "image/svg+xml",
}
"""Every static file, by name: a route serves these and no others, so no path can lead elsewhere."""


def render(template: str, *, settings: Settings, **values: Any) -> HTMLResponse:
    """The page as a response. `root` in `values` is the way up from the page's address to the mount point."""
    page = _templates().get_template(template)
    return HTMLResponse(page.render(notice=settings.simulated_notice, **values))


@cache
def static_text(name: str) -> str:
    """Content of one file of `STATIC`."""
    return (HERE / "static" / name).read_text(encoding="utf-8")


@cache
def _templates() -> Environment:
    return environment_of(HERE / "templates")
