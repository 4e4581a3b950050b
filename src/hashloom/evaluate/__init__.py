"""Metrics, honest protocol, comparison and report."""
