#!/usr/bin/env bash
# The main job of modseal on its embedded registry, in a temporary directory:
# push a model signed, look at it, verify it, pull it, compare. Then somebody
# changes a byte of a weight file in the registry, then the signatures, and both
# times the model is refused.
#
# MODSEAL names the binary (./bin/modseal).
set -euo pipefail
cd "$(dirname "$0")/.."

modseal=${MODSEAL:-$PWD/bin/modseal}

work=$(mktemp -d)
server=
cleanup() {
	if [ -n "$server" ]; then
		kill "$server" 2>/dev/null || true
		wait "$server" 2>/dev/null || true
	fi
	rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

# What is refused is told on standard error: here it belongs between the rest.
exec 2>&1

# Nothing of the user's configuration takes part.
export HOME="$work/home" XDG_CONFIG_HOME="$work/home/.config" XDG_STATE_HOME="$work/home/.state" DOCKER_CONFIG="$work/home/.docker"
mkdir -p "$HOME" "$work/bin"
ln -s "$modseal" "$work/bin/modseal"
PATH="$work/bin:$PATH"

if [ -t 1 ]; then
	bold=$'\e[1m' dim=$'\e[2m' green=$'\e[32m' red=$'\e[31m' plain=$'\e[0m'
else
	bold='' dim='' green='' red='' plain=''
fi

title() { printf '\n%s# %s%s\n' "$bold" "$*" "$plain"; }
fail() {
	printf '\n%sThe demo did not go as told: %s%s\n' "$red" "$*" "$plain" >&2
	exit 1
}

# show prints a command as it would be typed.
show() {
	printf '%s$' "$dim"
	local word
	for word in "$@"; do
		case $word in
		*[!A-Za-z0-9_./:=@%+,-]*) printf " '%s'" "$word" ;;
		*) printf ' %s' "$word" ;;
		esac
	done
	printf '%s\n' "$plain"
}

# run shows a command and runs it; it must succeed.
run() {
	show "$@"
	"$@" || fail "'$1 ${2:-}' ended with exit code $?"
}

# refused CODE COMMAND… shows a command and runs it; it must end with CODE.
refused() {
	local want=$1 got=0
	shift
	show "$@"
	"$@" || got=$?
	[ "$got" -eq "$want" ] || fail "'$1 ${2:-}' ended with exit code $got, not $want"
	printf '%srefused, exit code %d%s\n' "$green" "$got" "$plain"
}

# nothing DIR fails when DIR holds a file under its final name.
nothing() {
	local found
	found=$(find "$1" -type f -not -path '*/.modseal-partial/*' 2>/dev/null || true)
	[ -z "$found" ] || fail "files were written: $found"
	echo "nothing was written to $1"
}

# flip FILE OFFSET changes one byte.
flip() {
	local byte
	byte=$(od -An -tu1 -j "$2" -N 1 "$1")
	printf '%b' "\\x$(printf %02x $((byte ^ 1)))" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}

go run ./hack/demomodel "$work/llama"
cd "$work"

title "A registry on this machine"
show modseal serve registry --listen 127.0.0.1:0
# Made here, since the server may begin later than somebody looks.
: >serve.log
modseal serve registry --listen 127.0.0.1:0 2>>serve.log &
server=$!
for _ in $(seq 100); do
	address=$(sed -n 's/.*listening on \(127\.0\.0\.1:[0-9]*\).*/\1/p' serve.log)
	[ -z "$address" ] || break
	kill -0 "$server" 2>/dev/null || fail "the registry stopped: $(cat serve.log)"
	sleep 0.1
done
[ -n "$address" ] || fail "the registry does not listen: $(cat serve.log)"
echo "listening on $address"
ref=$address/team/llama:v1

title "A key pair"
export MODSEAL_PASSWORD=demo
run modseal keygen --output-key-prefix demo

title "A model, pushed and signed in one go"
run ls llama
run modseal push llama "$ref" --key demo.key

title "What is there now"
run modseal tree "$ref"

title "Verified, without fetching a byte of weights"
run modseal verify "$ref" --key demo.pub

title "Pulled: verified first, then fetched"
run modseal pull "$ref" -o pulled --key demo.pub
run diff -r llama pulled
echo "the same, byte for byte"

title "Somebody changes one byte of a weight file in the registry"
digest=$(sha256sum llama/model-00002-of-00004.safetensors | cut -d' ' -f1)
blob=$(find registry -type f -path "*/blobs/sha256/$digest")
[ -n "$blob" ] || fail "the registry has no blob sha256:$digest"
cp "$blob" blob.good
flip "$blob" 100000
refused 8 modseal pull "$ref" -o tampered --key demo.pub
nothing tampered
cp blob.good "$blob"
rm -rf tampered

title "Somebody changes the signatures"
mapfile -t bundles < <(grep -rl '"dsseEnvelope"' registry --include='*' | grep '/blobs/sha256/')
[ "${#bundles[@]}" -gt 0 ] || fail "the registry has no signature bundle"
for bundle in "${bundles[@]}"; do
	cp "$bundle" "$(basename "$bundle").good"
	offset=$(grep -bo '"sig":"' "$bundle" | head -n 1 | cut -d: -f1)
	flip "$bundle" $((offset + 30))
done
refused 3 modseal pull "$ref" -o tampered --key demo.pub
nothing tampered
for bundle in "${bundles[@]}"; do
	cp "$(basename "$bundle").good" "$bundle"
done
rm -rf tampered

title "Somebody else's key"
run modseal keygen --output-key-prefix stranger
refused 3 modseal pull "$ref" -o tampered --key stranger.pub
nothing tampered

title "And with everything put back"
run modseal verify "$ref" --key demo.pub

printf '\n%sEverything went as told.%s\n' "$green" "$plain"
