"""What the lessons use beside the package itself: predictions, refusals, exercises."""

from ..jupyter import explore, timeline
from .cheatsheet import cheat_sheet
from .demos import container, filesystems, machine, pages, stacks, workdir
from .demos.filesystems import Disk, erofs_layer, layer_elsewhere, mount_again, shared_bytes
from .demos.growth import Growth
from .demos.recorded import recorded
from .demos.show import devices, identity, refusal, same, yes_or_no
from .demos.store import engine_store, snapshot_store
from .demos.unprivileged import unprivileged
from .own import OwnOverlay
from .own import solution as own_solution
from .practice import record
from .practice.exercises import Exercise, exercise
from .practice.image_exercises import ImageExercise
from .practice.quiz import quiz

__all__ = [
    "Disk",
    "Exercise",
    "Growth",
    "ImageExercise",
    "OwnOverlay",
    "cheat_sheet",
    "container",
    "devices",
    "engine_store",
    "erofs_layer",
    "exercise",
    "explore",
    "filesystems",
    "identity",
    "layer_elsewhere",
    "machine",
    "mount_again",
    "own_solution",
    "pages",
    "quiz",
    "record",
    "recorded",
    "refusal",
    "same",
    "shared_bytes",
    "snapshot_store",
    "stacks",
    "timeline",
    "unprivileged",
    "workdir",
    "yes_or_no",
]
