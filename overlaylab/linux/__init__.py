"""The only room that speaks to Linux: mounts, namespaces, the fence around shell cells, xattrs."""
