"""A picture for a notebook: an image, and behind it the same in words."""

from __future__ import annotations

import base64
import html
import re

from .theme import dark_rules

#: JupyterLab says of its theme in an attribute. An image follows the color-scheme that it is given,
#: and where nobody gives one (GitHub, an output that is not trusted yet) that of the page.
_FOLLOW_THEME = (
    "<style>.overlaylab-figure { color-scheme: light; } "
    'body[data-jp-theme-light="false"] .overlaylab-figure { color-scheme: dark; }</style>'
)


def face(svg: str | None, words: str, caption: str = "") -> dict[str, str]:
    """What a notebook shows of something: `words`, and the picture if one could be drawn."""
    return {"text/plain": words, **({"text/html": figure(svg, words, caption)} if svg else {})}


def figure(svg: str, words: str, caption: str = "") -> str:
    """HTML that shows `svg`, and `words` to whoever asks for them.

    JupyterLab and nbconvert show an SVG output as an image without alternative text, and
    JupyterLab none at all before the notebook is trusted. An image in HTML has neither trouble,
    and nothing in it can run. On a narrow page it shrinks until its letters are as small as may
    be, 12 pixels; then it scrolls.

    Args:
        svg: one ``<svg>`` element.
        words: what it shows.
        caption: a line below the picture.
    """
    rules = f"<style>@media (prefers-color-scheme: dark) {{ {dark_rules()} }}</style>"
    data = base64.b64encode(svg.replace(">", f">{rules}", 1).encode()).decode()
    found = re.search(r'viewBox="\S+ \S+ (\d+)', svg)
    least = f";min-width:{found[1]}px" if found else ""
    return (
        f'{_FOLLOW_THEME}<div style="overflow-x:auto">'
        f'<img alt="A picture; the same in words follows." class="overlaylab-figure" '
        f'style="max-width:100%{least}" src="data:image/svg+xml;base64,{data}"></div>'
        f"{f'<small>{html.escape(caption)}</small>' if caption else ''}"
        "<details><summary>in words</summary>"
        f'<pre style="overflow-x:auto;white-space:pre">{html.escape(words)}</pre></details>'
    )
