"""The run-books inside Airflow's UI: the pages of `docs/`, so that a mail's link leads to what to do.

Markdown becomes HTML with an anchor at each heading, named as code forges name them. Only pages that lie in `docs/` are
shown, by name; HTML inside them is escaped, not trusted. Behind Airflow's login like everything here; writes nothing.
"""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

from fastapi import APIRouter, HTTPException
from fastapi.responses import HTMLResponse

from restar_lib.desk.context import ContextOf
from restar_lib.desk.pages import render
from restar_lib.settings import PROJECT_ROOT

router = APIRouter(prefix="/run-book")

DOCS = PROJECT_ROOT / "docs"


@router.get("/{name}")
def run_book(name: str, context: ContextOf) -> HTMLResponse:
    """One page of `docs/`."""
    page = pages().get(name)
    if page is None:
        raise HTTPException(404, f"there is no run-book {name}: there are {', '.join(sorted(pages()))}")
    body = to_html(page.read_text(encoding="utf-8"))
    return render("run_book.html", settings=context.settings, root="..", name=name, body=body)


def pages() -> dict[str, Path]:
    """The pages by name: a request chooses among these, so no path can lead elsewhere."""
    return {path.stem: path for path in DOCS.glob("*.md")}


def to_html(markdown: str) -> str:
    """HTML of a page; every heading has its anchor."""
    from markdown_it import MarkdownIt

    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = parser.parse(markdown)
    for opening, inline in pairwise(tokens):
        if opening.type == "heading_open":
            opening.attrSet("id", anchor(inline.content))
    return str(parser.renderer.render(tokens, parser.options, {}))


def anchor(heading: str) -> str:
    """`Alert: drift` becomes `alert-drift`."""
    kept = re.sub(r"[^\w\s-]", "", heading.lower())
    return re.sub(r"\s+", "-", kept.strip())
