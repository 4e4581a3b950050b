"""Hashloom as a service: an engine that answers, learns and forgets, and the HTTP API over it.

A request goes ``guard`` (limits of bytes and time) → ``auth`` (keys, roles) → ``routes_*`` with ``bodies*``
(``reading``: JSON is parsed once) → ``service`` → ``engine`` → ``choosing`` (which tags may be told) and ``answering``
→ ``running`` (a model's own thread). ``lookups`` asks the store with a deadline: a suggestion waits for nothing.

Beside it: ``following`` reads the store's log of changes; ``learning``, ``ledger`` and ``verdicts`` are what becomes of
them in models, counts and feedback. ``shelf`` loads a model and tries it, ``swapping`` puts it in place, ``shadowing``
compares one unseen. ``upkeep`` trains and forgets, ``cleaning`` goes through kept models, ``bulk`` tags an archive.
"""
