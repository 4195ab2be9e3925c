"""Training: the decoded model, its losses, and the loop that trains it."""

from .batches import batch_starts
from .engine import AUTO, TORCH, Decided, check_engine, decided, deciding
from .exporting import export
from .loop import PLAIN, Session, Training, train
from .losses import sub_losses
from .mixture import fit_latents
from .model import Latents, Model
from .predictor import Predictor, decode, labels_of

__all__ = [
    "AUTO",
    "PLAIN",
    "TORCH",
    "Decided",
    "Latents",
    "Model",
    "Predictor",
    "Session",
    "Training",
    "batch_starts",
    "check_engine",
    "decided",
    "deciding",
    "decode",
    "export",
    "fit_latents",
    "labels_of",
    "sub_losses",
    "train",
]
