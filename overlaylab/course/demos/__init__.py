"""What lessons show beside overlays: containers, a virtual machine, the page cache, disks."""
