"""Where tasks run: on SCOOP's workers, or here where SCOOP was not started.

``scoop_map`` is what users register; ``task`` packs tasks and outcomes; ``call`` keeps the books on
who has which task. Only ``backend`` and ``launcher`` know SCOOP.
"""

from .backend import started as scoop_started
from .scoop_map import scoopMap, scoopSubmit
from .task import TasksFailed

__all__ = ["TasksFailed", "scoopMap", "scoopSubmit", "scoop_started"]
