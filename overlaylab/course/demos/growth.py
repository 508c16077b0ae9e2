"""Containers committed one after the other, and how the image grows with them."""

from __future__ import annotations

from ...draw.chart import Bar, Chart
from ...image import Image
from ...lab import Lab
from ...layer import Layer


class Growth:
    """An image to which every commit adds a layer.

    Args:
        lab: where the containers run.
        base: the image's only layer in the beginning.

    Attributes:
        layers (list[Layer]): the bottom one first, as images list them.
        bars (list[Bar]): for every state what was done, and what each layer stores.
    """

    def __init__(self, lab: Lab, base: Layer) -> None:
        self._lab = lab
        self.layers = [base]
        self.bars: list[Bar] = []
        self._scripts = [base.name]
        self._measure()

    def commit(self, script: str) -> Chart:
        """Run `script` in a new container on the image, and commit the container.

        Returns:
            The image before and now, on one scale; in words what is new.

        Raises:
            ShellFailed: the script did not work; nothing was committed.
        """
        number = len(self.layers)
        box = self._lab.mount(f"{self.layers[0].name}-box{number}", lower=self.layers[::-1])
        box.sh(script, check=True)
        self.layers.append(box.commit(f"{self.layers[0].name}-commit{number}"))
        box.unmount()
        self._scripts.append(script)
        self._measure()
        return Chart(tuple(self.bars), said=len(self.bars) - 1)

    def _measure(self) -> None:
        self.bars.append(Bar(self._scripts[-1], self.image.report().stored_and_unseen()))

    @property
    def image(self) -> Image:
        """The image as it is now."""
        return Image.from_layers(self.layers, created_by=self._scripts)

    def chart(self) -> Chart:
        """All steps, one below the other."""
        return Chart(tuple(self.bars))
