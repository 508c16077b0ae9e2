"""A picture for a notebook: an image, and behind it the same in words."""

from __future__ import annotations

import base64
import html


def face(svg: str | None, words: str, caption: str = "") -> dict[str, str]:
    """What a notebook shows of something: `words`, and the picture if one could be drawn."""
    return {"text/plain": words, **({"text/html": figure(svg, words, caption)} if svg else {})}


def figure(svg: str, words: str, caption: str = "") -> str:
    """HTML that shows `svg`, and `words` to whoever asks for them.

    JupyterLab and nbconvert show an SVG output as an image without alternative text, and
    JupyterLab none at all before the notebook is trusted. An image in HTML has neither trouble,
    and nothing in it can run.

    Args:
        svg: one ``<svg>`` element.
        words: what it shows.
        caption: a line below the picture.
    """
    data = base64.b64encode(svg.encode()).decode()
    return (
        f'<img alt="A picture; the same in words follows." style="max-width:100%" '
        f'src="data:image/svg+xml;base64,{data}">'
        f"{f'<br><small>{html.escape(caption)}</small>' if caption else ''}"
        f"<details><summary>in words</summary><pre>{html.escape(words)}</pre></details>"
    )
