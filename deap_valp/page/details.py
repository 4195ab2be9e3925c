"""What the page tells of one candidate when it is chosen, as plain values for JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from ..genome import VALP, Structure
from ..plots.applied import looks_of
from ..plots.svg import valp_svg
from .candidates import Candidate, Candidates
from .samples import Shapes, generated_rows, generations_of, real_rows, shape_of, shown

MOST_DRAWN = 1000
"""The number of candidates whose graph, losses and diagnosis are in the file."""

MOST_SAMPLED = 50
"""The number of individuals whose samples are in the file."""


def details_of(candidates: Candidates, samples: int, shapes: Shapes) -> dict[str, Any]:
    """Return everything that a page shows beside its figures.

    The graph, losses and diagnosis of a candidate come from its entry, so they need no weights.
    Samples need them, so the individuals that the caller gave have some. Where candidates are too
    many, those are drawn that were given, are in the front, or were accepted; then the latest.

    Args:
        candidates: Those of the search.
        samples: Number of samples and of real rows.
        shapes: As for ``report``.
    """
    rank = sorted(candidates.members, key=lambda member: _rank(candidates, member))
    drawn = {member.number for member in rank[:MOST_DRAWN]}
    given = [member for member in rank if member.individual is not None]
    sampled = {member.number for member in given[:MOST_SAMPLED]}
    looks = looks_of(candidates.applied)
    real = _real(candidates, samples, shapes) if sampled else {}
    members = []
    for member in candidates.members:
        found = _facts(candidates, member)
        if member.number in drawn:
            found.update(_picture(member))
        if member.number in sampled and member.individual is not None:
            found["samples"] = _samples(candidates, member.individual, samples, shapes)
        members.append(found)
    return {
        "objectives": list(candidates.objectives),
        "labels": list(candidates.labels),
        "first": candidates.first,
        "candidates": members,
        "real": real,
        "colours": {name: look["color"] for name, look in looks.items()},
        "drawn": len(drawn),
        "sampled": len(sampled),
    }


def _rank(candidates: Candidates, member: Candidate) -> tuple[bool, bool, bool, int]:
    """Return the place of a candidate among those to show in detail, the lowest first."""
    front, accepted = candidates.front[member.number], candidates.accepted[member.number]
    return member.individual is None, not front, not accepted, -member.number


def _facts(candidates: Candidates, member: Candidate) -> dict[str, Any]:
    """Return the numbers of a candidate, and how it was made."""
    entry, number = member.entry, member.number
    found: dict[str, Any] = {
        "number": number,
        "step": entry.step,
        "seed": str(entry.seed),  # JavaScript has no whole numbers of this size
        "values": [_plain(value) for value in candidates.values[number].tolist()],
        "accepted": bool(entry.accepted),
        "front": bool(candidates.front[number]),
        "status": entry.status,
        "weights": entry.weight_count,
        "seconds": round(entry.seconds, 3),
        "applied": member.applied,
        "host": member.host,
        "donors": list(member.donors),
    }
    if entry.move is not None:
        move = entry.move
        parts = "version", "place", "reason", "rule"
        found["move"] = {part: str(getattr(move, part)) for part in parts}
        found["predicted"] = _plain(move.gain)
        if (
            entry.decision is not None
            and entry.decision.loss is not None
            and entry.loss is not None
        ):
            found["achieved"] = _plain(entry.decision.loss - entry.loss)
    return found


def _plain(value: float | None) -> float | None:
    """Return a number that JSON has."""
    return None if value is None or not math.isfinite(value) else float(f"{value:.6g}")


def _picture(member: Candidate) -> dict[str, Any]:
    """Return graph, losses and diagnosis of a candidate."""
    entry = member.entry
    structure: Structure
    if member.individual is not None:
        structure = member.individual
    else:
        structure = Structure()
        structure.graph = entry.graph
    history = {name: [_plain(loss) for loss in losses] for name, losses in entry.history.items()}
    return {
        "svg": _drawn(structure),
        "batches": entry.batches,
        "history": history,
        "diagnosis": entry.diagnosis,
    }


def _drawn(structure: Structure) -> str:
    if not structure.graph:  # an entry without a structure, of an archive made by hand
        return ""
    return valp_svg(structure)


def _real(candidates: Candidates, number: int, shapes: Shapes) -> dict[str, Any]:
    found = {}
    problem = candidates.problem
    for output in generations_of(problem):
        assert problem is not None
        rows = real_rows(problem, output, number)
        if len(rows):
            found[output] = shown(rows, shape_of(problem, output, shapes), rows)
    return found


def _samples(
    candidates: Candidates, individual: VALP, number: int, shapes: Shapes
) -> Mapping[str, Any]:
    problem = candidates.problem
    if problem is None or not generations_of(problem):
        return {}
    rows = generated_rows(individual, problem, number)
    found = {}
    for output in generations_of(problem):
        real = real_rows(problem, output, number)
        if output in rows and len(real):
            found[output] = shown(rows[output], shape_of(problem, output, shapes), real)
    return found
