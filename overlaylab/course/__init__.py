"""What the lessons use beside the package itself: predictions, refusals, exercises."""

from .exercises import Exercise, exercise
from .show import predict, refusal, same

__all__ = ["Exercise", "exercise", "predict", "refusal", "same"]
