#!/bin/sh
# Starts one control plane of this checkout on four ports of its own, as the conformance suites and the benchmarks want it.
#
#   control-plane.sh [--background] PORT DIR [NAME=VALUE ...]
#
# PORT is the HTTP API; PORT+1 the same with TLS, PORT+2 the data plane server, PORT+3 health. Everything it writes goes
# below DIR: data/ is the store, and with --background also log and pid. The other arguments are put into its environment.
set -eu

background=
if [ "${1:-}" = --background ]; then
	background=yes
	shift
fi
if [ $# -lt 2 ]; then
	echo "usage: control-plane.sh [--background] PORT DIR [NAME=VALUE ...]" >&2
	exit 2
fi
port=$1 dir=$2
shift 2
kumactl=${KUMACTL:-$(cd "$(dirname "$0")/.." && pwd)/build/kumactl}

export KUMA_API_SERVER_HTTP_PORT="$port" KUMA_API_SERVER_HTTPS_PORT=$((port + 1))
export KUMA_DP_SERVER_PORT=$((port + 2)) KUMA_DIAGNOSTICS_SERVER_PORT=$((port + 3))
for setting in "$@"; do
	export "${setting?}"
done
mkdir -p "$dir"
if [ -z "$background" ]; then
	exec "$kumactl" run control-plane --data-dir "$dir/data"
fi
"$kumactl" run control-plane --data-dir "$dir/data" >"$dir/log" 2>&1 </dev/null &
echo $! >"$dir/pid"
