# make demo    see Hashloom at work on the posts in samples/, and its page at http://127.0.0.1:8000 (PORT=8001: there)
# make test    all checks: ruff, mypy, pytest (TESTS=tests/test_cli.py: only these)
# make bench   speed, each benchmark in turn
# make results the tables of docs/results.md, from the real posts; some hours
# make clean   remove what was made (the environment stays; make distclean removes it too)

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)
export PYTHONUTF8 := 1

.PHONY: help install install-dev demo test bench results clean distclean

help:
	@sed -n 's/^# make/make/p' Makefile

# ---- environment: made once, and again when a pinned version or the package's description changes

define NO_PYTHON
$(PYTHON) is not Python 3.11 or newer. Install one and name it: make PYTHON=python3.12 $(MAKECMDGOALS)
endef
define NO_VENV
$(PYTHON) cannot make environments (modules venv and ensurepip). On Debian or Ubuntu: apt-get install python3-venv
endef

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { echo "$(NO_PYTHON)" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "$(NO_VENV)" >&2; exit 1; }
	@echo "making the environment $(VENV)"
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }

$(VENV)/.installed: requirements.txt pyproject.toml | $(BIN)/python
	@echo "installing Hashloom and what it needs (some minutes the first time)"
	@$(BIN)/python -m pip install -qq --disable-pip-version-check -r requirements.txt
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --no-deps -e .
	@touch $@

$(VENV)/.installed-dev: requirements-dev.txt $(VENV)/.installed
	@$(BIN)/python -m pip install -qq --disable-pip-version-check -r requirements-dev.txt
	@touch $@

install: $(VENV)/.installed
install-dev: $(VENV)/.installed-dev

# ---- demo: plain commands, shown as they run, so that they can be typed again

ENGLISH := {"id": "new-1", "community": "crumb-club", "user": "me", "text": "First rye loaf from my starter, baked for the spring fair."}
JAPANESE := {"id": "new-2", "community": "tsunagu-forum", "user": "me", "text": "新機能の説明会に参加しました。AIの要約がとても便利です。"}

define GO_ON

Done. Open demo/report.html and demo/posts.html in a browser.

With your own posts (a CSV with the columns id, text, tags and, where known, community, user, created_at):

  source $(BIN)/activate
  hashloom import csv my-posts.csv -o posts.parquet        (hashloom list importers shows other sources)
  hashloom describe posts.parquet
  hashloom train loom posts.parquet -o my-model
  hashloom evaluate my-model posts.parquet --html report.html
  hashloom recommend my-model new-posts.jsonl -k 5 --explain
  hashloom train boosted posts.parquet -o my-forecaster    (where the posts state views, likes or a score)
  hashloom forecast my-forecaster new-posts.jsonl --explain
  hashloom posts put posts.parquet --store my-store && hashloom retrain --store my-store && hashloom serve --store my-store

Every verb explains itself: hashloom train --help
endef
export GO_ON

demo: $(VENV)/.installed
	@rm -rf demo && mkdir demo
	hashloom describe samples/posts.jsonl --html demo/posts.html
	@echo
	hashloom train loom samples/posts.jsonl -o demo/model
	@echo
	hashloom evaluate demo/model samples/posts.jsonl --html demo/report.html
	@echo
	echo '$(ENGLISH)' | hashloom recommend demo/model - -k 5
	@echo
	echo '$(JAPANESE)' | hashloom recommend demo/model - -k 5
	@echo
	hashloom train boosted samples/posts.jsonl -o demo/views
	@echo
	echo '$(ENGLISH)' | hashloom forecast demo/views -
	@echo
	hashloom posts put samples/posts.jsonl --store demo/store
	hashloom retrain --store demo/store --recipe calibrated
	@echo "$$GO_ON"
	@echo
	@$(SERVE_DEMO)

# The page on the samples, until Ctrl-C. In CI, or where nobody sits at a terminal, it is checked and ended.
PORT ?= 8000
DEMO := --store demo/store --forecaster demo/views
define SERVE_DEMO
if [[ -n "$${CI:-}$${HASHLOOM_DEMO_CHECK:-}" || ! -t 0 || ! -t 1 ]]; then \
  echo hashloom serve $(DEMO) --check; hashloom serve $(DEMO) --port 0 --check; \
else \
  echo hashloom serve $(DEMO) --port $(PORT); hashloom serve $(DEMO) --port $(PORT); \
fi
endef

# ---- checks: the examples in src are tests too

TESTS ?= src tests

test: $(VENV)/.installed-dev
	ruff check .
	ruff format --check .
	mypy
	OMP_NUM_THREADS=1 python -m pytest -n 2 --doctest-modules $(TESTS)

bench: $(VENV)/.installed-dev
	python benchmarks/startup.py
	python benchmarks/vectorisers.py
	python benchmarks/two_stage.py samples/posts.jsonl
	python benchmarks/pictures.py
	python benchmarks/encoders.py
	python benchmarks/networks.py
	python benchmarks/learning_on.py
	python benchmarks/new_words.py
	python benchmarks/forecasting.py
	python benchmarks/explaining.py samples/posts.jsonl
	python benchmarks/store.py
	python benchmarks/serve.py --model demo/model samples/posts.jsonl

results: $(VENV)/.installed-dev
	python tools/results.py run
	python tools/new_community.py
	python tools/results.py page

clean:
	rm -rf demo build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .cache
	find . -path ./$(VENV) -prune -o -name __pycache__ -type d -print0 | xargs -0 rm -rf

distclean: clean
	rm -rf $(VENV)
