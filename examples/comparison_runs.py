"""Runs in a folder: one finished run is one file, and a call does what is not there yet."""

import json
import os
import sys
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict
from multiprocessing import get_context, parent_process
from pathlib import Path
from threading import Thread


def path_of(folder, *run):
    """The file of a run (words and a seed), which is there when the run is whole."""
    return Path(folder, f"{'-'.join(map(str, run))}.jsonl")


def write(path, text):
    """Write a text that readers see whole or not at all."""
    path.with_suffix(".part").write_text(text)
    os.replace(path.with_suffix(".part"), path)


def run_all(run_one, settings, runs, folder, workers):
    """Call ``run_one(settings, *run, folder)`` for the missing runs, each in a process of the pool.

    Gives the runs that failed, with the reason.
    """
    missing = [run for run in runs if not path_of(folder, *run).exists()]
    failed = {}
    with ProcessPoolExecutor(workers, get_context("spawn"), leave_with_parent) as pool:
        futures = {pool.submit(run_one, settings, *run, folder): run for run in missing}
        for done, future in enumerate(as_completed(futures), 1):
            run = futures[future]
            if error := future.exception():
                failed[run] = f"{type(error).__name__}: {error}"
            print(f"{done}/{len(missing)} {named(run)}: {failed.get(run, 'done')}", flush=True)
    return failed


def named(run):
    """A run in words."""
    *words, seed = run
    return f"{' '.join(words)}, seed {seed}"


def leave_with_parent():
    """End this process when its parent is killed: it would write beside those of the next call."""

    def wait():
        parent_process().join()
        os._exit(1)

    Thread(target=wait, daemon=True).start()


def open_folder(folder, settings):
    """Make the folder, or see that its runs are of these settings."""
    folder.mkdir(parents=True, exist_ok=True)
    path, ours = folder / "settings.json", asdict(settings)
    theirs = json.loads(path.read_text()) if path.exists() else ours
    if theirs != ours:
        names = [name for name in ours if theirs.get(name) != ours[name]]
        differ = "; ".join(f"{name} {theirs.get(name)}, asked for {ours[name]}" for name in names)
        sys.exit(f"{folder} holds runs of other settings ({differ}): give another --folder")
    write(path, json.dumps(ours, indent=1))
