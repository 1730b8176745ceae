#!/bin/sh
# Writes the Go code for every .proto file of this folder. Needs protoc; the plugin for Go is built
# from the version that go.mod pins, into a temporary folder, so nothing is installed.
set -eu
cd "$(dirname "$0")"

if ! command -v protoc >/dev/null; then
	echo "protoc is missing: sudo apt-get install protobuf-compiler, or brew install protobuf" >&2
	exit 1
fi

bin=$(mktemp -d)
trap 'rm -rf "$bin"' EXIT
go build -o "$bin/protoc-gen-go" google.golang.org/protobuf/cmd/protoc-gen-go

# Paths start with the folder's name: they are the names under which the files are registered.
cd ..
protoc --plugin="$bin/protoc-gen-go" --proto_path=. --go_out=. --go_opt=paths=source_relative kumapb/*.proto
