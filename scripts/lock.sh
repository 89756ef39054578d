#!/bin/sh
# Writes the two lock files: exact versions and hashes of everything that `make demo` and `make test` install,
# for every supported Python (3.11 and later) and platform. Run it after changing dependencies in pyproject.toml;
# `sh scripts/lock.sh --upgrade` also moves every package to its newest version.
# The files name no host: where packages come from is the installer's business, what they are is ours.
set -eu
cd "$(dirname "$0")/.."

uv=$(command -v uv || true)
if [ -z "$uv" ] && [ -x .venv/bin/uv ]; then uv=.venv/bin/uv; fi
if [ -z "$uv" ]; then
    echo "locking needs uv: install it with  .venv/bin/python -m pip install uv  and try again" >&2
    exit 2
fi

resolve() { # resolve LOCK ARGUMENTS…: keep what LOCK has unless told otherwise, and write it with our own header
    target=$1
    shift
    work=$(mktemp)
    if [ -f "$target" ]; then cp "$target" "$work"; fi
    "$uv" pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-header \
        --no-emit-index-url --no-emit-find-links --output-file "$work" \
        pyproject.toml scripts/build-requirements.in "$@"
    {
        echo "# Exact versions and hashes, written by \`make lock\`. Do not edit."
        cat "$work"
    } >"$target"
    rm -f "$work"
    echo "$target: $(grep -c '^[a-z]' "$target") packages"
}

# The server's versions are those of the development set, so that both can live in one environment.
resolve constraints-dev.lock --extra server --extra dev "$@"
resolve constraints-server.lock --extra server --constraint constraints-dev.lock "$@"
