"""Training: the decoded model, its losses, and the loop that trains it."""

from .batches import batch_starts
from .loop import PLAIN, Session, Training, train
from .losses import sub_losses
from .model import Latents, Model, decode

__all__ = [
    "PLAIN",
    "Latents",
    "Model",
    "Session",
    "Training",
    "batch_starts",
    "decode",
    "sub_losses",
    "train",
]
