# The commands of the project. `make help` explains them.
PYTHON ?= python3
PORT ?= 8000
BIN := .venv/bin

.DEFAULT_GOAL := help
.PHONY: help setup run test check format bench load rasa test-rasa clean

help: ## Show what each target does
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: ## Install everything from the lock files into .venv and train the model
	@$(PYTHON) bot/install.py run

run: setup ## Set up, migrate, import the articles and serve on 127.0.0.1:$(PORT)
	@exec $(BIN)/hotline run --port $(PORT)

test: ## Set up and run all tests
	@$(PYTHON) bot/install.py test
	@$(BIN)/pytest -n 3 --dist loadfile

check: ## Check format, lint, types, import rules, articles and migrations
	@$(PYTHON) bot/install.py test
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/hotline kb check
	$(BIN)/hotline migrate --check

format: ## Rewrite the code in the house format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: ## Measure the WeChat webhook against a bare echo
	$(BIN)/hotline bench webhook

load: ## Five hundred workers on three channels in bad weather, with a kill: takes half an hour
	@$(PYTHON) bot/install.py test
	@LOAD_WORKERS=500 LOAD_MESSAGES=20 $(BIN)/pytest -s tests/e2e/test_load.py

rasa: setup ## Install Rasa beside it, train it and serve it on 127.0.0.1:5005
	@$(BIN)/hotline rasa setup
	@$(BIN)/hotline rasa export
	@$(BIN)/hotline rasa train
	@exec $(BIN)/hotline rasa serve

test-rasa: ## Install Rasa, train it, serve it and ask it: takes ten minutes
	@$(PYTHON) bot/install.py test
	@$(BIN)/hotline rasa setup
	@$(BIN)/pytest tests/rasa

clean: ## Remove the virtual environment and all caches (never var/)
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache *.egg-info
