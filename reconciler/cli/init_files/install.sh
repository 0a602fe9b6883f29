#!/usr/bin/env bash
# Installs reconciler into a new virtual environment in FOLDER: bash .reconciler/install.sh FOLDER
#
# Dependencies are installed as wheels with the hashes of requirements.txt, so none of their code runs unverified. No
# cache is read, since other jobs could have filled it. `python -I` does not import modules from the working directory.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
folder=$1
pip=("$folder/bin/python" -I -m pip install --quiet --disable-pip-version-check --no-cache-dir)

python3 -I -m venv --clear "$folder"
"${pip[@]}" --require-hashes --only-binary :all: -r "$here/requirements.txt"
"${pip[@]}" --no-deps HOW -r "$here/reconciler.txt"
