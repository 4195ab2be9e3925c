"""Tasks under ``scoopMap`` with two workers: prints what became of them, as JSON.

The argument is a folder for notes.
"""

import json
import os
import sys
import time
from pathlib import Path

import scoop

from deap_valp import scoopMap

NOTES = Path(sys.argv[1])


class Sized(int):
    """A number with a size, as a VALP has one."""

    weight_count = property(int)


def note(kind, item):
    with (NOTES / kind).open("a") as notes:
        notes.write(f"{item} {os.getpid()}\n")


def noted(kind):
    return [line.split() for line in (NOTES / kind).read_text().splitlines()]


def meet(item):
    """Done when two processes have come here."""
    note("meet", item)
    end = time.monotonic() + 60
    while len({pid for _, pid in noted("meet")}) < 2 and time.monotonic() < end:
        time.sleep(0.01)
    return item, os.getpid()


def slow_elsewhere(item):
    """Leaves the origin idle for longer than SCOOP waits before it asks after a task."""
    note("slow", item)
    time.sleep(0.05 if scoop.IS_ORIGIN else 5)
    return 10 * item


def fail(item):
    note("fail", item)
    if item == 2:
        raise KeyError("the second")
    if item == 4:
        raise KeyError("another")
    return item


def sized(item):
    note("sized", int(item))
    time.sleep(0.1)
    return int(item)


def outer(item):
    return scoopMap(inner, range(item), progress=False), os.getpid()


def inner(item):
    return os.getpid()


def failure(*arguments):
    try:
        return scoopMap(*arguments, progress=False)
    except KeyError as error:
        cause = error.__cause__
        return [repr(error), str(cause), [repr(result) for result in cause.results]]


def main():
    met = scoopMap(meet, range(8), evaluations=12)
    slow = scoopMap(slow_elsewhere, range(4), evaluations=12)
    found = {
        "origin": os.getpid(),
        "met": met,
        "slow": slow,
        "slow_ran": noted("slow"),
        "failure": failure(fail, range(6)),
        "failure_ran": noted("fail"),
        "sized": scoopMap(sized, [Sized(n) for n in (3, 9, 1, 7, 5)], progress=False),
        "sized_ran": noted("sized"),
        "nested": scoopMap(outer, [3] * 4, progress=False),
        "nothing": scoopMap(meet, [], progress=False),
        "two_iterables": scoopMap(divmod, [7, 9], [2, 4], progress=False),
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
