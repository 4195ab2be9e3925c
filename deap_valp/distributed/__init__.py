"""``scoopMap`` and ``scoopSubmit``: evaluations over SCOOP's workers, or here where SCOOP was not started.

SCOOP's own ``map`` asks its broker after tasks that are running, is told that nobody has them, and
sends them again; without that question, a worker that dies takes its task with it. So these use
SCOOP's workers, broker and
messages and do the waiting themselves: a worker says which task it starts, and a task is sent again
only when the
worker that started it is gone.
"""

from .scoop_map import scoop_started, scoopMap, scoopSubmit
from .task import TasksFailed

__all__ = ["TasksFailed", "scoopMap", "scoopSubmit", "scoop_started"]
