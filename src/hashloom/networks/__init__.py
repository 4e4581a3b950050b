"""Tensors only: layers, networks, losses and the one training loop."""
