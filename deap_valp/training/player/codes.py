"""The codes of the operations of the compiled player."""

from __future__ import annotations

(
    GEMM,
    SPREAD,
    GATHER,
    ACTIVATE,
    ACTIVATE_BACK,
    SOFTMAX,
    SOFTMAX_BACK,
    ADD,
    PASS,
    FILL,
    ADD_SCALED,
    DRAW,
    DRAW_BACK,
    DOT,
    ENTROPY,
    SQUARED,
    LOSSES,
    CLIP,
    MULTIPLY,
) = range(19)

# Operations that depend on the number of the step.
FIRST_UPDATE = 32
ADAM, NADAM, SGD, RMSPROP, ADAGRAD, FOLLOW = range(FIRST_UPDATE, FIRST_UPDATE + 6)

# Activations.
RELU, ELU, SOFTPLUS, SOFTSIGN, SIGMOID, TANH, IDENTITY = range(7)
