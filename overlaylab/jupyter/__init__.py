"""The Jupyter side: the kernel's launcher and the ``%overlay`` magics."""
