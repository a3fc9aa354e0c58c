"""Where training state lives: one file per stage, written atomically, so that a killed call loses at most its own work."""

import os
from pathlib import Path

import torch


def save(directory: Path, name: str, state: dict) -> None:
    """Writes ``name.pt`` whole or not at all."""
    directory.mkdir(parents=True, exist_ok=True)
    temporary = directory / f".{name}.pt.tmp"
    torch.save(state, temporary)
    os.replace(temporary, directory / f"{name}.pt")


def load(directory: Path, name: str, device: str = "cpu") -> dict:
    """Reads ``name.pt``; says which training stage makes it when it is missing."""
    path = directory / f"{name}.pt"
    if not path.exists():
        raise FileNotFoundError(f"{path} is missing: run the training stages in the order vae, data, aux, denoiser first")
    return torch.load(path, map_location=device, weights_only=True)


def half(state: dict) -> dict:
    """The fp16 copy of a state dict: what is exported and what evaluation reads."""
    return {key: value.half() if value.is_floating_point() else value for key, value in state.items()}


def full(state: dict) -> dict:
    return {key: value.float() if value.is_floating_point() else value for key, value in state.items()}
