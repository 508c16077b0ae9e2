"""The widgets that show a stack or an image, and what they have in common."""
