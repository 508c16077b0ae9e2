"""What leaves the course as a page that needs no other file."""

from __future__ import annotations

from collections.abc import Sequence

from ..text import escaped

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
@page {{ size: A4 landscape; margin: 12mm; }}
body {{ margin: 16px; color: #1f2328; background: #ffffff; font: 14px/1.35 sans-serif; }}
h1 {{ margin: 0 0 8px; font-size: 20px; }}
p {{ margin: 8px 0; overflow-wrap: anywhere; }}
{style}
@media print {{ body {{ margin: 0; font-size: 9.5pt; }} h1 {{ font-size: 14pt; }} }}
</style>
</head>
<body>
<h1>{title}</h1>
{body}
</body>
</html>
"""
#: How a :func:`table` looks, as CSS.
TABLE_STYLE = """
table.overlaylab-sheet { border-collapse: collapse; text-align: left; }
.overlaylab-sheet th, .overlaylab-sheet td {
  padding: 2px 6px; border-bottom: 1px solid #d0d7de; vertical-align: top;
}
.overlaylab-sheet tbody th { overflow-wrap: anywhere; font-weight: normal; }
.overlaylab-sheet thead th { border-bottom: 2px solid #57606a; }
.overlaylab-sheet tr { break-inside: avoid; }
"""


def page(title: str, body: str, style: str = "") -> str:
    """An HTML page that is one file, to be read in a window or printed on A4, landscape.

    Args:
        title: its heading, as plain text.
        body: HTML.
        style: more CSS.
    """
    return _PAGE.format(title=escaped(title), body=body, style=TABLE_STYLE + style)


def table(rows: Sequence[Sequence[str]]) -> str:
    """An HTML table; it has the class ``overlaylab-sheet``.

    Args:
        rows: the cells of each row as plain text, which may have several lines. The first row,
            and the first cell of each other, is a heading.
    """
    head = "".join(f'<th scope="col">{_lines(cell)}</th>' for cell in rows[0])
    body = "\n".join(
        f'<tr><th scope="row">{_lines(first)}</th>'
        + "".join(f"<td>{_lines(cell)}</td>" for cell in rest)
        + "</tr>"
        for first, *rest in rows[1:]
    )
    return (
        f'<table class="overlaylab-sheet">\n<thead><tr>{head}</tr></thead>\n'
        f"<tbody>\n{body}\n</tbody>\n</table>"
    )


def _lines(text: str) -> str:
    return "<br>".join(map(escaped, text.split("\n")))
