"""The Jupyter side: the kernel's launcher, the ``%overlay`` magics and the widgets.

Importing this imports none of them: the launcher has to come before whatever starts a thread.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import NotShown

if TYPE_CHECKING:
    from ..image import Image
    from ..overlay import Overlay
    from .widgets.explorer import Explorer
    from .widgets.image_explorer import ImageExplorer
    from .widgets.timeline import Timeline


def explore(what: Overlay | Image) -> Explorer | ImageExplorer:
    """Look into a stack or an image with the mouse or the keyboard.

    Args:
        what: an overlay, to ask its paths which layer they come from; or an image, to see
            which layer stores what.

    Raises:
        NotShown: it is neither.
        BadImage: a layer of the image is damaged or dishonest.
    """
    from ..image import Image
    from ..overlay import Overlay

    if isinstance(what, Overlay):
        from .widgets.explorer import Explorer

        return Explorer(what)
    if isinstance(what, Image):
        from .widgets.image_explorer import ImageExplorer

        return ImageExplorer(what)
    raise NotShown(
        f"{what!r} cannot be explored: give an overlay, made with lab.mount(…), or an image."
    )


def timeline(overlay: Overlay) -> Timeline:
    """Go through the history of an overlay, step by step.

    Args:
        overlay: its lab has to be open; it may be unmounted.

    Raises:
        NotShown: it is no overlay.
    """
    from ..overlay import Overlay
    from .widgets.timeline import Timeline

    if not isinstance(overlay, Overlay):
        raise NotShown(
            f"{overlay!r} has no history: give an overlay, made with lab.mount(…), in which "
            "scripts ran."
        )

    return Timeline(overlay)
