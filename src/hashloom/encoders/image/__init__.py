"""Pictures into regions and one pooled vector; one file per encoder, found by its file name."""
