"""Training: the decoded model, its losses, and the loop that trains it."""

from .batches import batch_starts
from .exporting import export
from .loop import PLAIN, Session, Training, train
from .losses import sub_losses
from .model import Latents, Model
from .predictor import Predictor, decode, labels_of

__all__ = [
    "PLAIN",
    "Latents",
    "Model",
    "Predictor",
    "Session",
    "Training",
    "batch_starts",
    "decode",
    "export",
    "labels_of",
    "sub_losses",
    "train",
]
