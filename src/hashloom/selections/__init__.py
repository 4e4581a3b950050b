"""Which earlier posts a personal model reads; one file per rule, found by its file name."""
