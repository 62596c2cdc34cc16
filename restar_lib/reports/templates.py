"""Jinja environments, made in one place: every page, mail and card of Re*Star is rendered through one of these.

A template that asks for a value that it was not given is an error. HTML is escaped whatever stands in it; plain text
and Markdown are not, and their templates escape what their readers would interpret. It renders nothing by itself and
writes no file.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template, select_autoescape

PAGES: Final = Path(__file__).resolve().parent / "templates"


def environment_of(folder: Path, *, trim_blocks: bool = False) -> Environment:
    """The templates of `folder`; `trim_blocks` removes the lines that hold nothing but a block tag."""
    return Environment(
        loader=FileSystemLoader(folder),
        autoescape=select_autoescape(["html"]),
        undefined=StrictUndefined,
        trim_blocks=trim_blocks,
        lstrip_blocks=trim_blocks,
        keep_trailing_newline=not trim_blocks,
    )


@cache
def page_template(name: str) -> Template:
    """The template of a report page, for example `evaluation.html`; all of them share `layout.html`."""
    return environment_of(PAGES).get_template(name)
