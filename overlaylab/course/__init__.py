"""What the lessons use beside the package itself: predictions, refusals, exercises."""

from ..jupyter import explore, timeline
from ..jupyter.prediction import happened, predict
from .exercises import Exercise, exercise
from .growth import Growth
from .images import ImageExercise
from .show import refusal, same
from .store import engine_store

__all__ = [
    "Exercise",
    "Growth",
    "ImageExercise",
    "engine_store",
    "exercise",
    "explore",
    "happened",
    "predict",
    "refusal",
    "same",
    "timeline",
]
