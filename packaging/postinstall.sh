#!/bin/sh
# After deb or rpm: the administrator's token, and systemd told of the unit. Nothing is started: that is the person's to say.
set -eu
umask 077
token=/etc/kumactl/admin-token
[ -s "$token" ] || head -c 32 /dev/urandom | base64 | tr '+/' '-_' | tr -d '=\n' >"$token"
[ ! -d /run/systemd/system ] || systemctl daemon-reload
echo "kumactl: start the control plane with: systemctl enable --now kumactl-control-plane"
