# 院企通: two commands, `make run` and `make test`; each does all its own set-up.
PYTHON ?= python3.11
VENV := .venv
PY := $(VENV)/bin/python
PIP := $(PY) -m pip --disable-pip-version-check -q

.PHONY: run test install lint bench clean

# Start the bot: web chat and console on http://127.0.0.1:8080/
run: $(VENV)/ready-run
	$(PY) -m bot run

# Prove everything, with browser and models
test: $(VENV)/ready-all
	$(PY) -m pytest

# Everything: models, training, tests
install: $(VENV)/ready-all

# Style and types
lint: $(VENV)/ready-all
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

# Figures for README
bench: $(VENV)/ready-all
	$(PY) -m tests.bench

clean:
	rm -rf $(VENV) build *.egg-info

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] < (3, 11))' 2>/dev/null || { echo '需要 Python 3.11：请安装后再试，或用 make run PYTHON=/路径/python3.11'; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { echo '缺少 venv 模块：请先安装，Debian/Ubuntu 上是 apt install python3.11-venv'; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/ready-run: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo '正在安装运行所需的组件（只在第一次，约 1 分钟）…'
	$(PIP) install -c constraints.txt -e .
	@touch $@

$(VENV)/ready-all: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo '正在安装全部组件（含模型和测试，只在第一次，约 5 分钟）…'
	$(PIP) install -c constraints.txt torch==2.13.0
	$(PIP) install -c constraints.txt -e '.[models,train,dev]'
	@touch $@ $(VENV)/ready-run
