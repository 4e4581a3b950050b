"""One file, one recommender; the file name is its name."""
