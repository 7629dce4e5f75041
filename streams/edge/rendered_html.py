"""The frame of the rendered documents: one page, its style within, no script, light and dark."""

import base64
import hashlib
import re
from collections.abc import Sequence
from html import escape

_STYLE = """
:root{color-scheme:light dark;--ink:#1b1f24;--quiet:#57606a;--line:#d0d7de;
--ground:#fff;--raised:#f6f8fa;--link:#0b57a4;--mark:#6e4400}
@media (prefers-color-scheme:dark){:root{--ink:#e6edf3;--quiet:#9da7b1;--line:#3d444d;
--ground:#0d1117;--raised:#161b22;--link:#79b8ff;--mark:#f0b429}}
*{box-sizing:border-box}
body{margin:0;background:var(--ground);color:var(--ink);font:1rem/1.55 system-ui,sans-serif}
a{color:var(--link)}
a:focus-visible,summary:focus-visible,pre:focus-visible,.wide:focus-visible{outline:3px solid var(--link);outline-offset:2px}
.skip{position:absolute;left:-999rem}
.skip:focus{left:1rem;top:1rem;background:var(--ground);padding:.5rem 1rem}
header,main,footer{max-width:64rem;margin:0 auto;padding:1rem}
header p,footer{color:var(--quiet)}
nav ul{list-style:none;padding:0;display:flex;flex-wrap:wrap;gap:.25rem 1rem}
h2{margin-top:2.5rem;border-bottom:1px solid var(--line);padding-bottom:.25rem}
section:first-of-type h2{margin-top:0}
h3{margin:0;display:inline;font-size:1rem;font-family:ui-monospace,monospace;font-weight:600;overflow-wrap:anywhere}
h4{margin:1rem 0 .25rem;font-size:.95rem}
details{border:1px solid var(--line);border-radius:6px;margin:.5rem 0;background:var(--raised)}
summary{padding:.5rem .75rem;cursor:pointer;overflow-wrap:anywhere}
details>div{padding:0 .75rem .75rem;background:var(--ground);border-top:1px solid var(--line);border-radius:0 0 6px 6px}
.method{display:inline-block;min-width:3.5rem;font-weight:700;color:var(--mark);font-family:ui-monospace,monospace}
.what{color:var(--quiet)}
.wide{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-size:.9rem}
th,td{text-align:left;vertical-align:top;padding:.35rem .75rem .35rem 0;border-bottom:1px solid var(--line)}
code,pre{font-family:ui-monospace,monospace;font-size:.875em}
td code{overflow-wrap:anywhere}
pre{background:var(--raised);border:1px solid var(--line);border-radius:6px;padding:.75rem;overflow-x:auto;margin:.5rem 0}
@media (max-width:40rem){thead{position:absolute;left:-999rem}table,tbody,tr,td{display:block}
td{border:0;padding:0}td:first-child{font-weight:600}td:empty{display:none}
tr{border-bottom:1px solid var(--line);padding:.35rem 0}}
"""
_DIGEST = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()

POLICY = f"default-src 'none'; style-src 'sha256-{_DIGEST}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
"""Nothing is fetched and nothing runs; the one style is known by its digest."""
_CODE = re.compile(r"`([^`]+)`")


def page(title: str, lead: str, links: list[tuple[str, str]], body: str) -> str:
    """A whole page. `lead` is text, `body` is HTML; `links` lead to its parts and to the other document."""
    listed = "".join(f'<li><a href="{escape(target)}">{escape(name)}</a></li>' for name, target in links)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body>"
        '<a class="skip" href="#main">Skip to the content</a>'
        f"<header><h1>{escape(title)}</h1><p>{said(lead)}</p>"
        f'<nav aria-label="On this page"><ul>{listed}</ul></nav></header>'
        f'<main id="main">{body}</main></body></html>'
    )


def said(text: str) -> str:
    """Plain text as HTML; what stands between backticks is code.

    >>> said("`a` < b")
    '<code>a</code> &lt; b'
    """
    return _CODE.sub(r"<code>\1</code>", escape(text, quote=False))


def table(caption: str, head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """A table of cells that are HTML, under its heading; nothing without rows.

    On a narrow screen its cells stand below each other. The roles keep it a table there for browsers that go by how it is shown.
    """
    if not rows:
        return ""
    titles = "".join(f'<th scope="col" role="columnheader">{escape(each)}</th>' for each in head)
    body = "".join('<tr role="row">' + "".join(f'<td role="cell">{cell}</td>' for cell in row) + "</tr>" for row in rows)
    return (
        f'<h4>{escape(caption)}</h4><div class="wide" role="group" aria-label="{escape(caption)}" tabindex="0">'
        f'<table role="table"><thead role="rowgroup"><tr role="row">{titles}</tr></thead>'
        f'<tbody role="rowgroup">{body}</tbody></table></div>'
    )


def anchor(text: str) -> str:
    """A fragment that names a part of the page.

    >>> anchor("GET /v1/models/{model}")
    'get-v1-models-model'
    """
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def code(text: str) -> str:
    return f"<code>{escape(text, quote=False)}</code>"
