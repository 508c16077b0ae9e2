"""The tests of overlaylab; each file is named for the part or the subject it specifies."""
