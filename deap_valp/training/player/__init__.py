"""The compiled player: a tape as a list of operations, and an interpreter of them by numba."""
