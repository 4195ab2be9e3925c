"""How a VALP learns: the decoded model, its losses, and the loop that trains it."""

from .loop import batch_starts, train
from .losses import sub_losses
from .model import Latents, Model, decode

__all__ = ["Latents", "Model", "batch_starts", "decode", "sub_losses", "train"]
