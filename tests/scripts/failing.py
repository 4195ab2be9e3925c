"""Maps a function that fails for some tasks; writes what became of them. usage: failing.py OUTPUT."""

import sys
from pathlib import Path

import deap_valp as valp


def root(number):
    if number in (2, 4):
        raise ValueError(f"task {number} is odd in its own way")
    return number * number


def main():
    try:
        valp.scoopMap(root, range(6), progress=False)
    except ValueError as error:
        kept = [result if isinstance(result, int) else type(result).__name__ for result in error.__cause__.results]
        Path(sys.argv[1]).write_text(f"{error}; {kept}; {error.__cause__}")


if __name__ == "__main__":
    main()
