"""The Jupyter side: the kernel's launcher, the ``%overlay`` magics and the widgets.

Importing this imports none of them: the launcher has to come before whatever starts a thread.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..image import Image
    from ..overlay import Overlay
    from .explorer import Explorer
    from .image_explorer import ImageExplorer
    from .timeline import Timeline


def explore(what: Overlay | Image) -> Explorer | ImageExplorer:
    """Look into a stack or an image with the mouse or the keyboard.

    Args:
        what: an overlay, to ask its paths which layer they come from; or an image, to see
            which layer stores what.

    Raises:
        BadImage: a layer of the image is damaged or dishonest.
    """
    from ..overlay import Overlay

    if isinstance(what, Overlay):
        from .explorer import Explorer

        return Explorer(what)
    from .image_explorer import ImageExplorer

    return ImageExplorer(what)


def timeline(overlay: Overlay) -> Timeline:
    """Go through the history of an overlay, step by step.

    Args:
        overlay: its lab has to be open; it may be unmounted.
    """
    from .timeline import Timeline

    return Timeline(overlay)
