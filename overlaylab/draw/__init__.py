"""Pictures of a stack: what is in each layer, what of it is seen, and how its size grows.

``grid`` has the state that somebody has read, ``words`` and ``svg`` show it; ``chart`` shows
numbers. Nothing is read from a disk here, and no widget is known.
"""
