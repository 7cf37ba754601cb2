#!/usr/bin/env bash
# Installs the tools that modseal is tested against into ./bin/peers, each at
# the version named here and built by the Go on this machine. What is there
# already at that version is left alone.
#
#   hack/peers.sh            all of them
#   hack/peers.sh oras crane only these
set -euo pipefail
cd "$(dirname "$0")/.."

# name  module  version  package below the module
peers='
oras   oras.land/oras                        v1.3.6   cmd/oras
crane  github.com/google/go-containerregistry v0.22.1 cmd/crane
regctl github.com/regclient/regclient        v0.11.7  cmd/regctl
cosign github.com/sigstore/cosign/v3         v3.1.3   cmd/cosign
'

dir="$PWD/bin/peers"
mkdir -p "$dir"

# installed NAME MODULE prints the version of the module that NAME was built from.
installed() {
	[ -x "$dir/$1" ] || return 0
	go version -m "$dir/$1" | awk -v m="$2" '$1 == "mod" && $2 == m { print $3 }'
}

failed=0
while read -r name module version package; do
	[ -n "$name" ] || continue
	if [ $# -gt 0 ] && [[ " $* " != *" $name "* ]]; then
		continue
	fi
	if [ "$(installed "$name" "$module")" = "$version" ]; then
		echo "peers: $name $version is there"
		continue
	fi
	start=$SECONDS
	# -p limits the compilers that run at once, so that a small machine stays usable.
	if GOBIN="$dir" CGO_ENABLED=0 GOFLAGS=-mod=mod go install -p "${PEERS_JOBS:-2}" -trimpath \
		-ldflags '-s -w' "$module/$package@$version"; then
		echo "peers: $name $version built in $((SECONDS - start)) s"
	else
		echo "peers: $name $version does not build" >&2
		failed=1
	fi
done <<<"$peers"
exit $failed
