#!/bin/sh
# Makes .venv ready: `sh scripts/bootstrap.sh server` for the demo and the server, `… dev` for everything.
#
# Needs Python 3.11 or later and nothing else. Uses uv when it is on the PATH (faster), otherwise venv and pip.
# Every package is checked against the hash in constraints-*.lock. What is already installed as locked is left alone,
# so only the first run, or a run after the lock file changed, needs a network.
# PYTHON=/path/to/python3.12 chooses the interpreter; TRIMTAB_INSTALLER=pip ignores uv.
set -eu
cd "$(dirname "$0")/.."

extra=${1:-server}
case $extra in
server | dev) lock=constraints-$extra.lock ;;
*)
    echo "usage: sh scripts/bootstrap.sh [server|dev]" >&2
    exit 2
    ;;
esac
venv=.venv
python=$venv/bin/python

say() { echo "trimtab setup: $*" >&2; }
fail() {
    say "$@"
    exit 1
}
is_recent() { "$@" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; }
version_of() { "$1" -c 'import platform; print(platform.python_version())'; }

find_python() {
    if [ -n "${PYTHON:-}" ]; then
        is_recent "$PYTHON" || fail "PYTHON=$PYTHON is not a working Python 3.11 or later."
        command -v "$PYTHON"
        return
    fi
    # The plain name first: it is the one the user chose. A name may exist and still not run, so each one is tried.
    for name in python3 python3.13 python3.12 python3.11 python3.14 python; do
        if is_recent "$name"; then
            command -v "$name"
            return
        fi
    done
    if [ "${TRIMTAB_INSTALLER:-}" != pip ] && found=$(uv python find '>=3.11' 2>/dev/null); then
        echo "$found"
        return
    fi
    have=$(python3 --version 2>/dev/null || echo "no python3")
    say "Trimtab needs Python 3.11 or later, and this machine has: $have."
    say "Get one with  apt-get install python3.11 python3.11-venv  (Debian, Ubuntu),"
    say "dnf install python3.11  (Fedora, RHEL),  brew install python@3.13  (macOS),  or  uv python install 3.13;"
    fail "or name one that is not on the PATH:  make PYTHON=/path/to/python3.12 demo"
}

# One line of progress per download: pip's own output is four lines for each package, or nothing at all.
pip_install() {
    status=$(mktemp)
    live=0
    if [ -t 2 ]; then live=1; fi
    { "$python" -m pip install --disable-pip-version-check --no-input --progress-bar off "$@" 2>&1 || echo failed >"$status"; } |
        awk -v total="$total" -v live="$live" '
            /^Collecting /            { n++; if (live) { printf "\r  %2d of at most %d  %-40s", n, total, $2 }
                                        else if (n % 10 == 0) { printf "  %d of at most %d\n", n, total }
                                        fflush(); next }
            /^Installing collected/   { printf "%s  installing %d packages\n", live ? "\n" : "", n; fflush(); next }
            /ERROR|[Ww]arning|WARNING/ { loud = 1 }
            loud                      { print; fflush() }
        ' >&2
    outcome=$(cat "$status")
    rm -f "$status"
    [ -z "$outcome" ]
}

make_with_uv() {
    $locked || say "installing up to $total packages with uv for Python $wanted"
    { is_recent "$python" || uv venv --quiet --no-project --python "$base" "$venv"; } &&
        { $locked || uv pip install --python "$python" --require-hashes -r "$lock"; } &&
        uv pip install --quiet --python "$python" --no-deps --no-build-isolation --offline --editable .
}

make_with_pip() {
    $locked || say "installing up to $total packages with pip for Python $wanted (about a minute the first time)"
    if ! is_recent "$python"; then
        if ! "$base" -m venv "$venv" >"$venv.log" 2>&1; then
            cat "$venv.log" >&2
            rm -rf "$venv" "$venv.log"
            say "$base could not make a virtual environment; on Debian and Ubuntu its parts are separate packages:"
            fail "apt-get install python3-venv  (or python$(echo "$wanted" | cut -d. -f1-2)-venv), then try again."
        fi
        rm -f "$venv.log"
    fi
    "$python" -m pip --version >/dev/null 2>&1 || "$python" -m ensurepip --default-pip >/dev/null || return 1
    { $locked || pip_install --require-hashes --no-deps -r "$lock"; } &&
        "$python" -m pip install --quiet --disable-pip-version-check --no-deps --no-index --no-build-isolation --editable .
}

if [ -e "$venv" ] && ! is_recent "$python"; then
    say "$venv does not work with Python 3.11 or later any more; making it anew"
    rm -rf "$venv"
fi
if [ -e "$python" ]; then base=$python; else base=$(find_python); fi
wanted=$(version_of "$base")
total=$(grep -c '^[A-Za-z0-9]' "$lock")

# The lock's own digest says whether the packages are in place; a time stamp would not survive a git checkout.
digest=$("$base" -c 'import hashlib, sys; print(hashlib.sha256(open(sys.argv[1], "rb").read()).hexdigest())' "$lock")
record=$venv/.trimtab-$extra
locked=false
if [ "$(cat "$record" 2>/dev/null)" = "$digest" ]; then locked=true; fi

began=$(date +%s)
if [ "${TRIMTAB_INSTALLER:-}" != pip ] && command -v uv >/dev/null 2>&1; then
    make_with_uv || {
        say "uv did not succeed; trying pip"
        make_with_pip
    } || fail "installation failed; the lines above say why. Is a package index reachable?"
else
    make_with_pip || fail "installation failed; the lines above say why. Is a package index reachable?"
fi
echo "$digest" >"$record"
# What the tests need contains what the demo needs, in the same versions.
if [ "$extra" = dev ]; then
    "$base" -c 'import hashlib, sys; print(hashlib.sha256(open(sys.argv[1], "rb").read()).hexdigest())' \
        constraints-server.lock >"$venv/.trimtab-server"
fi
say "$venv is ready ($(($(date +%s) - began)) s)"
