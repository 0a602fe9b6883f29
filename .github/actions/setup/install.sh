#!/usr/bin/env bash
# Installs reconciler, as it is in this checkout, into a new virtual environment in FOLDER. Whatever comes from outside
# is taken by its hash in the lock, as a wheel, so that nothing of it runs before it is known; the rest is this commit.
#
# PIP_CACHE_DIR and the like work as everywhere. `python -I` looks for modules where Python is installed, and not in the
# folder that it is started in, which is somebody's repository.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../../.." && pwd)
folder=$1
pip=("$folder/bin/python" -I -m pip install --quiet --disable-pip-version-check)

python3 -I -m venv "$folder"
"${pip[@]}" --require-hashes --only-binary :all: -r "$root/requirements/runtime.txt" -r "$root/requirements/build.txt"
"${pip[@]}" --no-index --no-deps --no-build-isolation "$root"
