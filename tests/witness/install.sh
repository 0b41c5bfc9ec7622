#!/bin/sh
# Usage: install.sh [--find]
# Install a witness that we did not write into .venv-witness. It needs Python 3.12 or newer, whichever is at hand here;
# with --find, only print that Python, and fail where there is none.
set -eu
cd "$(dirname "$0")/../.."

new_enough='import sys; print(sys.executable) if sys.version_info >= (3, 12) else sys.exit(1)'

find_python() {
    for name in python3 python3.14 python3.13 python3.12; do
        "$name" -c "$new_enough" 2> /dev/null && return
    done
    for version in $(pyenv versions --bare 2> /dev/null); do
        PYENV_VERSION=$version python3 -c "$new_enough" 2> /dev/null && return
    done
    return 1
}

if ! python=$(find_python); then
    echo "There is no Python 3.12 or newer here, without which aics-witness does not run" >&2
    exit 1
fi
if [ "${1-}" = --find ]; then
    echo "$python"
    exit
fi
"$python" -m venv .venv-witness
.venv-witness/bin/python -m pip install --disable-pip-version-check --quiet --require-hashes -r requirements/witness-peer.lock
