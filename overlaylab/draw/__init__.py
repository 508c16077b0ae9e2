"""Pictures of a stack: what is in each layer, what of it is seen, and how its size grows.

``grid`` has the state that somebody has read, ``words`` and ``svg`` show it; ``chart`` shows
numbers. Nothing is read from a disk here, and no widget is known.
"""

from .chart import Bar, Chart
from .curve import Curve
from .picture import Diagram

__all__ = ["Bar", "Chart", "Curve", "Diagram"]
