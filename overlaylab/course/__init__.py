"""What the lessons use beside the package itself: predictions, refusals, exercises."""

from ..jupyter import explore, timeline
from ..jupyter.prediction import happened, predict
from . import container, machine, pages, stacks
from .exercises import Exercise, exercise
from .filesystems import Disk, layer_elsewhere, mount_again, shared_bytes
from .growth import Growth
from .images import ImageExercise
from .own import OwnOverlay
from .quiz import quiz
from .show import devices, identity, refusal, same, yes_or_no
from .store import engine_store
from .unprivileged import unprivileged

__all__ = [
    "Disk",
    "Exercise",
    "Growth",
    "ImageExercise",
    "OwnOverlay",
    "container",
    "devices",
    "engine_store",
    "exercise",
    "explore",
    "happened",
    "identity",
    "layer_elsewhere",
    "machine",
    "mount_again",
    "pages",
    "predict",
    "quiz",
    "refusal",
    "same",
    "shared_bytes",
    "stacks",
    "timeline",
    "unprivileged",
    "yes_or_no",
]
