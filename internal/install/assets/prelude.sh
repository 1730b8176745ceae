#!/bin/sh
# What `kumactl install control-plane` does on this machine. It can be run again: what is right already stays as it is.
set -eu
umask 077

# put MODE FILE: standard input becomes the file, when it differs from it.
changed=
put() {
	cat >"$2.new"
	chmod "$1" "$2.new"
	if cmp -s "$2.new" "$2"; then
		rm "$2.new"
	else
		mv "$2.new" "$2"
		changed=yes
	fi
}
