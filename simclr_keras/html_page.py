"""Self-contained HTML pages, light and dark, that load nothing from elsewhere."""

import base64
import contextlib
import html
import json
import os
from collections.abc import Iterator
from typing import TextIO

from .errors import printable
from .files import whole_file

# A browser refuses whatever else a page might ask for, by mistake or by a name that got through.
_POLICY = (
    "default-src 'none'; img-src data: blob:; style-src 'unsafe-inline'; "
    "script-src 'unsafe-inline'"
)
_STYLE = """
:root { color-scheme: light dark; --ink: #1c1e21; --paper: #fff; --muted: #667; --line: #8884;
  --shade: #8881; --accent: #d60; --good: #0a7d38; --bad: #c22; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e6e6; --paper: #16181b; --muted: #9aa;
  --accent: #f93; --good: #4c8; --bad: #f66; } }
* { box-sizing: border-box; }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  margin: 0 auto; padding: 1.5rem clamp(.75rem, 3vw, 2.5rem); }
h1, h2, h3 { line-height: 1.2; text-wrap: balance; overflow-wrap: anywhere; }
.muted { color: var(--muted); }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .75rem .25rem 0; border-bottom: 1px solid var(--line); text-align: left;
  vertical-align: top; }
.wide { overflow-x: auto; }
.number { white-space: nowrap; }
code, pre { font: 13px/1.5 ui-monospace, monospace; background: var(--shade); border-radius: 4px; }
pre { padding: .75rem; overflow-x: auto; }
code { padding: .1rem .25rem; overflow-wrap: anywhere; }
pre code { padding: 0; background: none; }
img, svg { max-width: 100%; }
"""


@contextlib.contextmanager
def html_page(path: str | os.PathLike, title: str, style: str = "") -> Iterator[TextIO]:
    """A page that is written completely or not at all.

    Args:
        path: The `.html` file; its folder is created.
        title: The title of the window, and the first heading.
        style: CSS in addition to that of all pages.

    Yields:
        A text file that takes what follows the heading, as HTML.
    """
    heading = escaped(title)
    with whole_file(path) as unfinished, unfinished.open("w", encoding="utf-8") as page:
        page.write(
            '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">\n'
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
            f"<title>{heading}</title>\n<style>{_STYLE}{style}</style></head>\n"
            f"<body>\n<h1>{heading}</h1>\n"
        )
        yield page
        page.write("</body></html>\n")


def escaped(text: str) -> str:
    """A text, such as the name of a file, as HTML."""
    return html.escape(printable(text))


def data_uri(content: bytes, kind: str = "image/jpeg") -> str:
    """The text that stands for a file in `src` or `href`."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def embedded_json(name: str, value: object) -> str:
    """A script element with data: `JSON.parse(document.getElementById(name).textContent)`."""
    text = json.dumps(value, separators=(",", ":")).replace("<", "\\u003c")
    return f'<script type="application/json" id="{html.escape(name)}">{text}</script>\n'
