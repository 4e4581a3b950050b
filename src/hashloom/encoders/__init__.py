"""Texts into vectors; one file per encoder, found by its file name."""
