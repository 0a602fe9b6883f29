#!/usr/bin/env bash
# Installs reconciler from this checkout into a new virtual environment in FOLDER. Dependencies are installed as wheels
# with the hashes of the lock, so none of their code runs unverified.
#
# No cache is read, since other jobs could have filled it: what is installed here runs beside the token of a fleet.
# `python -I` does not import modules from the working directory, which is somebody else's repository.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../../.." && pwd)
folder=$1
pip=("$folder/bin/python" -I -m pip install --quiet --disable-pip-version-check --no-cache-dir)

python3 -I -m venv --clear "$folder"
"${pip[@]}" --require-hashes --only-binary :all: -r "$root/requirements/runtime.txt" -r "$root/requirements/build.txt"
"${pip[@]}" --no-index --no-deps --no-build-isolation "$root"
