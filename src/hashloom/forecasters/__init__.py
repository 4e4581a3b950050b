"""Models that forecast how much attention a post will get; each file is one, by its name."""
