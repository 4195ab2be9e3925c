"""Runs the code of the tutorials and writes what it prints into them: ``python docs/outputs.py``.

A block of Python and the block of text right after it belong together: the text is what the Python
printed. Pictures that the code saves go to ``docs/images``. Names of pages as arguments run these
only. With ``--small`` the searches are as short as they can be and nothing is written: the tests
run the pages so.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import multiprocessing
import os
import re
import shutil
import sys
import tempfile
import traceback
import types
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parent
PAGES = sorted([*DOCS.glob("tutorials/*.md"), *DOCS.glob("howto/*.md")])
BLOCK = re.compile(r"```python\n(?P<code>.*?)```\n(?:\n```text\n(?P<text>.*?)```\n)?", re.DOTALL)
SMALLEST = {
    "batches": 4,
    "first_batches": 6,
    "lambda_": 2,
    "mu": 2,
    "n": 2,
    "nevals": 3,
    "ngen": 1,
    "nsteps": 2,
    "steps": 2,
}


def small(code: str) -> str:
    """Return code with the numbers of its searches replaced by small ones."""
    for name, number in SMALLEST.items():
        code = re.sub(rf"\b{name}=\d+", f"{name}={number}", code)
    return code


def run(page: str, smallest: bool) -> tuple[str, str]:
    """Return a page with what its code prints, and a traceback where the code fails.

    The code runs in a process of its own, as a script would: it registers operators and classes.
    """
    text, main = Path(page).read_text(), types.ModuleType("__main__")
    sys.modules["__main__"] = main
    parts, position = [], 0
    try:
        for block in BLOCK.finditer(text):
            # With the lines before it, so that a traceback names the line of the page.
            code = "\n" * text.count("\n", 0, block.start("code")) + block["code"]
            printed = io.StringIO()
            with contextlib.redirect_stdout(printed):
                exec(compile(small(code) if smallest else code, page, "exec"), vars(main))
            if block["text"] is not None:
                parts += [text[position : block.start("text")], tidy(printed.getvalue())]
                position = block.end("text")
    except Exception:
        return text, traceback.format_exc()
    return "".join([*parts, text[position:]]), ""


def tidy(printed: str) -> str:
    """Return what was printed without spaces at the ends of lines."""
    return "".join(f"{line.rstrip()}\n" for line in printed.strip("\n").splitlines())


def all_of(pages: list[Path], smallest: bool) -> dict[Path, tuple[str, str]]:
    """Run pages in processes of their own, in a folder that is removed."""
    import deap_valp.plots  # noqa: F401  once, for the processes that are copies of this one

    # "fork" is safe here: nothing has computed yet, so torch has no threads.
    with multiprocessing.get_context("fork").Pool(2, maxtasksperchild=1) as pool:
        jobs = [(str(page), smallest) for page in pages]
        return dict(zip(pages, pool.starmap(run, jobs, chunksize=1), strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("pages", nargs="*", type=Path, default=PAGES)
    parser.add_argument("--small", action="store_true")
    arguments = parser.parse_args()
    pages = [page.resolve() for page in arguments.pages]
    os.environ.update(OMP_NUM_THREADS="1", MPLBACKEND="Agg", TQDM_DISABLE="1")
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        results = all_of(pages, arguments.small)
        if not arguments.small:
            for picture in Path(folder).glob("*.png"):
                shutil.copy(picture, DOCS / "images")
        os.chdir(DOCS)
    failed: dict[str, Any] = {}
    for page, (text, error) in results.items():
        if error:
            failed[page.stem] = error
        elif not arguments.small:
            page.write_text(text)
    print(json.dumps(failed, indent=1))
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
