#!/bin/sh
# Runs every fuzz target of the module for FUZZTIME (10s) each, one after the other.
set -eu
cd "$(dirname "$0")/.."
for dir in $(grep -rl --include='*_test.go' '^func Fuzz' cmd internal | xargs -n 1 dirname | sort -u); do
	for target in $(go test -tags grpcnotrace -list '^Fuzz' "./$dir" | grep '^Fuzz'); do
		echo "== $dir $target"
		go test -tags grpcnotrace -run '^$' -fuzz "^$target\$" -fuzztime "${FUZZTIME:-10s}" "./$dir"
	done
done
