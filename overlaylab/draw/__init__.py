"""Pictures of a stack: what is in each layer, what of it is seen, and how its size grows.

``grid`` reads the state, ``words`` and ``svg`` show it; ``chart`` shows numbers. No widget is
known here.
"""

from .chart import Bar, Chart
from .curve import Curve
from .diagram import Diagram, diagram, diagrams

__all__ = ["Bar", "Chart", "Curve", "Diagram", "diagram", "diagrams"]
