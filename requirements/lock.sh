#!/bin/sh
# Resolve pyproject.toml anew, for Python 3.11 to 3.13 on every platform: sh requirements/lock.sh PYTHON
set -eu
python=$1
lock() {
    "$python" -m uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes \
        --no-emit-index-url --no-header --no-annotate --quiet "$@"
}
lock --extra embedded --output-file requirements/run.txt
lock --extra embedded --extra charts --extra dev --output-file requirements/dev.txt
