"""The steps that gains promise, as weights: where a new connection or sub-network could start."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from .gradients import Place
from .probe import Gradients, Probe, Reading, Units
from .subject import Subject


class ConnectionStep(NamedTuple):
    """What a step along the linear probe's prediction adds.

    Attributes:
        block: To the weights of the connection, shape (rows of the receiver, width of the
            provider).
        bias: To the entry bias of the receiver, shape (rows,).
    """

    block: Tensor
    bias: Tensor


class NetworkStep(NamedTuple):
    """A sub-network of one layer of relu units whose result is the nonlinear probe's prediction.

    Attributes:
        read: Weights with which the units read the provider, shape (units, width of the provider).
        read_bias: Their bias, shape (units,).
        block: Weights with which the receiver reads the units, shape (rows of the receiver, units).
        bias: What is added to the receiver's entry bias, shape (rows,).
    """

    read: Tensor
    read_bias: Tensor
    block: Tensor
    bias: Tensor


def connection_step(subject: Subject, provider: str, place: Place) -> ConnectionStep:
    """Return the step that the linear gain of ``growth_potential`` speaks of.

    Times a small number, it lowers the validation loss of the output by the gain times that number.

    Args:
        subject: What was diagnosed.
        provider: An input or a sub-network.
        place: A receiver, and an output that it reaches.
    """
    reading, wanted = Reading.of(subject, provider), Gradients.of(subject).of_place(place)
    probe = Probe(*wanted.with_targets(reading.fitted, reading.held))
    read = _block(probe, wanted, place)
    block = read @ reading.axes.T
    return ConnectionStep(block, -block @ reading.mean - read @ probe.mean)


def network_step(subject: Subject, provider: str, place: Place) -> NetworkStep:
    """Return the step that the nonlinear gain of ``growth_potential`` speaks of.

    Args:
        subject: What was diagnosed.
        provider: An input or a sub-network.
        place: A receiver, and an output that it reaches.
    """
    reading = Reading.of(subject, provider)
    units, wanted = Units.drawn(reading, subject.seed), Gradients.of(subject).of_place(place)
    probe = Probe(*wanted.with_targets(units(reading.fitted), units(reading.held)))
    block = _block(probe, wanted, place)
    read = (reading.axes @ units.weights).T
    return NetworkStep(read, units.bias - read @ reading.mean, block, -block @ probe.mean)


def _block(probe: Probe, wanted: Gradients, place: Place) -> Tensor:
    """Return the coefficients for the rows of a receiver, shape (rows, features)."""
    return wanted.axes[place] @ probe.coefficients(wanted.fitted[place]).T
