#!/bin/sh
# Usage: lock.sh PIP-COMPILE DEVELOPMENT-LOCK PEER-LOCK
# Resolve the dependencies of pyproject.toml and of the bench's peer into locks of names, versions and hashes.
# No index, host or path is written down: a lock says what to install, never from where.
set -eu

compiler=$1

compile() {
    output=$1
    shift
    "$compiler" --quiet --upgrade --generate-hashes --allow-unsafe --strip-extras --no-header --no-annotate \
        --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --no-emit-options \
        --output-file "$output" "$@"
    # The extras name one another through the package itself, which is installed from the work tree, not from a lock.
    sed -i -e '/^# WARNING: pip install will require/,/^answerback @/d' "$output"
    if grep -nE '@|://|^-' "$output"; then
        echo "$output names a place; it may hold only names, versions and hashes" >&2
        exit 1
    fi
}

compile "$2" --extra dev pyproject.toml
compile "$3" requirements/bench-peer.in
