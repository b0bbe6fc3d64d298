# Sourced by the scripts beside it: the repository's root, and a Python that has the tools.
# Sets: root (the repository), python (a path). Functions: note, die, with_signals, find_python, make_venv.

root=$(CDPATH= cd -- "$(dirname -- "$0")/.." && pwd)
# What is compiled is kept, whatever the user's rule is: without it each of the tests' many processes compiles pywerf and
# the tests anew, which takes longer than the tests themselves. Git ignores it.
unset PYTHONDONTWRITEBYTECODE

note() { printf '\n== %s\n' "$*"; }
die() { printf '%s: %s\n' "$(basename -- "$0")" "$*" >&2; exit 1; }

# with_signals COMMAND…: with signals as a terminal gives them; in the background, or under nohup, some are ignored, and
# hands that on to tests that interrupt something.
with_signals() {
    if env --default-signal=INT,QUIT,HUP true 2>/dev/null; then env --default-signal=INT,QUIT,HUP "$@"; else "$@"; fi
}

# find_python MODULE…: .venv, else $PYWERF_VENV, else the python3 on PATH; the first that has the modules.
find_python() {
    for candidate in "$root/.venv/bin/python" "${PYWERF_VENV:+$PYWERF_VENV/bin/python}" python3 python; do
        [ -n "$candidate" ] || continue
        command -v "$candidate" >/dev/null 2>&1 || continue
        if "$candidate" -c 'import importlib.util, sys
sys.exit(sys.version_info < (3, 11) or any(importlib.util.find_spec(name) is None for name in sys.argv[1:]))' "$@" 2>/dev/null
        then
            python=$(command -v "$candidate")
            return 0
        fi
    done
    die "no Python >= 3.11 with $* found
hint: scripts/test makes .venv; or: python3 -m venv .venv && .venv/bin/pip install -e '.[dev]'"
}

# make_venv [EXTRAS]: .venv with pywerf in editable mode, up to date with pyproject.toml.
make_venv() {
    stamp=$root/.venv/.pywerf-installed
    if [ -x "$root/.venv/bin/python" ] && [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$(venv_key "$1")" ]; then
        python=$root/.venv/bin/python
        return 0
    fi
    base=
    for candidate in python3 python3.13 python3.12 python3.11; do
        if "$candidate" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            base=$candidate
            break
        fi
    done
    [ -n "$base" ] || die "no Python >= 3.11 with venv found
hint: apt-get install python3 python3-venv"
    [ -x "$root/.venv/bin/python" ] || "$base" -m venv "$root/.venv" || die "cannot make $root/.venv"
    (cd "$root" && .venv/bin/python -m pip install --quiet --disable-pip-version-check -e ".$1") \
        || die "pip could not install pywerf into .venv"
    venv_key "$1" > "$stamp"
    python=$root/.venv/bin/python
}

venv_key() { printf '%s %s' "$1" "$(cksum < "$root/pyproject.toml")"; }
