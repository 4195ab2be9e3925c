"""Training: the decoded model, its losses, and the loop that trains it."""

from .batches import batch_starts
from .engine import AUTO, TORCH, Decided, check_engine, decided, deciding
from .loop import PLAIN, Session, Training, train
from .losses import sub_losses
from .model import Latents, Model, decode

__all__ = [
    "AUTO",
    "PLAIN",
    "TORCH",
    "Decided",
    "Latents",
    "Model",
    "Session",
    "Training",
    "batch_starts",
    "check_engine",
    "decided",
    "deciding",
    "decode",
    "sub_losses",
    "train",
]
