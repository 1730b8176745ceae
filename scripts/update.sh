#!/bin/sh
# Rewrites the golden files of every package whose tests know -update; then read the difference.
set -eu
cd "$(dirname "$0")/.."
for dir in $(find cmd internal -type d -name testdata -prune | xargs -n 1 dirname | sort -u); do
	# Other tests refuse the flag before they run anything.
	if go test -tags grpcnotrace -run '^$' "./$dir" -update >/dev/null 2>&1; then
		go test -tags grpcnotrace "./$dir" -update
	fi
done
