"""Hashloom as a service: an engine that answers, learns and forgets, and the HTTP API over it."""
