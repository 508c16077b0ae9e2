"""Pictures of a stack: what is in each layer, and what of it is seen.

``grid`` reads the state, ``words`` and ``svg`` show it. No widget is known here.
"""

from .diagram import Diagram, diagram

__all__ = ["Diagram", "diagram"]
