"""Posts in and out: read, write, split, history, importers."""
