#!/usr/bin/env bash
# Makes .venv with exactly the locked versions. Needs python3 (3.11 or newer) and pip, nothing else: where the venv
# module cannot bring pip along (Debian without python3-venv), the system's pip installs into the new environment,
# which an externally managed Python (PEP 668) allows because it is not its own.
set -euo pipefail
cd "$(dirname "$0")/.."

python=${PYTHON:-python3}
"$python" - <<'PY' || { echo "Assay needs Python 3.11 or newer; set PYTHON=/path/to/python3.11" >&2; exit 2; }
import sys
raise SystemExit(sys.version_info < (3, 11))
PY

stamp=.venv/.locked
if [ -f "$stamp" ] && cmp -s "$stamp" <(cat requirements.lock pyproject.toml); then exit 0; fi

if [ ! -x .venv/bin/python ]; then
  echo "Making .venv" >&2
  "$python" -m venv .venv 2>/dev/null || { rm -rf .venv; "$python" -m venv --without-pip .venv; }
fi
if .venv/bin/python -m pip --version >/dev/null 2>&1; then
  pip() { .venv/bin/python -m pip "$@"; }
else
  pip() { "$python" -m pip --python .venv/bin/python "$@"; }
fi

echo "Installing the locked versions" >&2
# uv installs in seconds what takes pip minutes; where it cannot be had or does not reach the registry, pip does it.
if pip install --quiet --disable-pip-version-check uv 2>/dev/null &&
   .venv/bin/uv pip install --quiet --compile-bytecode --python .venv/bin/python --require-hashes -r requirements.lock 2>/dev/null; then :; else
  pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
fi
pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable . 2>/dev/null ||
  pip install --quiet --disable-pip-version-check --no-deps --editable .
# Our own modules too: an environment with PYTHONDONTWRITEBYTECODE would otherwise compile them at every start.
.venv/bin/python -m compileall -q cli flows tasks reports evaluations
cat requirements.lock pyproject.toml > "$stamp"
