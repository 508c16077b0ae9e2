"""The package on other kernels: Debian's, booted with QEMU. Run it with ``make kernels``."""
