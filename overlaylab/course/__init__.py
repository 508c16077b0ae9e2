"""What the lessons use beside the package itself: predictions, refusals, exercises."""

from .exercises import Exercise, exercise
from .growth import Growth
from .images import ImageExercise
from .show import predict, refusal, same
from .store import engine_store

__all__ = [
    "Exercise",
    "Growth",
    "ImageExercise",
    "engine_store",
    "exercise",
    "predict",
    "refusal",
    "same",
]
