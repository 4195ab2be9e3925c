"""What makes two problems the same: a short text for each thing that results depend on.

A checkpoint keeps it, and a VALP keeps the digest of its labels, so that neither goes on with
another problem unnoticed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from .data.splits import SPLITS

if TYPE_CHECKING:
    from .outputs import OutputKind
    from .problem import Problem

ROWS = 64
"""The number of examples of each split that an identity reads. So it is cheap for mapped arrays."""


def identity_of(problem: Problem) -> dict[str, str]:
    """Return what a problem is, by names that stand in error messages.

    It has the objectives, the score and the labels of each output, the columns and the units of
    each input, and the examples of each split. It does not have losses, since another loss leaves
    the objectives comparable.
    """
    found = {"objectives": ", ".join(problem.objectives)}
    for name, kind in problem.outputs.items():
        found[f"score of {name}"] = _score(kind)
        labels = problem.preparation.outputs[name].classes
        if labels:
            found[f"classes of {name}"] = ", ".join(map(_text, labels))
    for name, prepared in problem.preparation.inputs.items():
        columns = [
            f"{_text(column)} {[*map(_text, categories or ())]}"
            for column, categories in prepared.encoding.columns
        ]
        found[f"columns of {name}"] = ", ".join(columns)
        port = problem.inputs[name]
        found[f"units of {name}"] = _digest([repr((port.shift, port.scale)).encode()])
        found[f"shape of {name}"] = str(port.shape or port.width)
    for name in SPLITS:
        split = problem.split(name)
        tensors = [*split.inputs.values(), *split.targets.values()]
        step = max(1, split.size // ROWS)
        sample = _digest(tensor[::step][:ROWS].contiguous().numpy().tobytes() for tensor in tensors)
        found[f"examples of {name}"] = f"{split.size} ({sample})"
    return found


def digest_of_labels(labels: Iterable[Hashable]) -> str:
    """Return a digest of labels in their order; an empty text if there are none.

    Labels that are equal in Python count as equal.
    """
    labels = list(labels)
    if not labels:
        return ""
    return _digest(_text(label).encode() + b"\n" for label in labels)


def _score(kind: OutputKind) -> str:
    own: Any = kind.functions().get("score")
    if own is None:
        return f"{kind.score_name} of {kind.kind}"
    own = getattr(own, "func", own)  # what a partial calls
    return str(getattr(own, "__qualname__", type(own).__qualname__))


def _text(label: Hashable) -> str:
    """Return a text of a label that is the same in every process."""
    value: Any = label.item() if isinstance(label, np.generic) else label
    if isinstance(value, bool) or (isinstance(value, float) and value.is_integer()):
        value = int(value)
    kind: Any = type(value)
    if kind.__repr__ is object.__repr__:  # it has an address
        return str(kind.__qualname__)
    return repr(value)


def _digest(parts: Iterable[bytes]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()[:16]
