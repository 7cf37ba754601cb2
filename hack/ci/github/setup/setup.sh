#!/usr/bin/env bash
# Fetches a binary of modseal, and puts it on PATH when it has the SHA-256 that the
# workflow names. Nothing is run before that.
set -euo pipefail

fail() {
	printf '::error title=setup modseal::%s\n' "$1"
	exit 1
}

[[ $MODSEAL_SHA256 =~ ^[0-9a-f]{64}$ ]] || fail "sha256 is not a SHA-256 in 64 hexadecimal digits"

case $(uname -s) in
Linux) os=linux ;;
Darwin) os=darwin ;;
*) os=windows ;;
esac
case $(uname -m) in
aarch64 | arm64) arch=arm64 ;;
*) arch=amd64 ;;
esac
url=${MODSEAL_URL//'{version}'/$MODSEAL_VERSION}
url=${url//'{os}'/$os}
url=${url//'{arch}'/$arch}

directory=$RUNNER_TEMP/modseal-$MODSEAL_SHA256
mkdir -p "$directory"
curl --fail --silent --show-error --location --retry 3 --output "$directory/modseal.partial" -- "$url" ||
	fail "the binary could not be fetched"
if command -v sha256sum >/dev/null; then
	sum=$(sha256sum <"$directory/modseal.partial")
else
	sum=$(shasum -a 256 <"$directory/modseal.partial")
fi
if [[ ${sum%% *} != "$MODSEAL_SHA256" ]]; then
	rm -f "$directory/modseal.partial"
	fail "the binary has the SHA-256 ${sum%% *}, not $MODSEAL_SHA256"
fi
chmod +x "$directory/modseal.partial"
mv "$directory/modseal.partial" "$directory/modseal"
printf '%s\n' "$directory" >>"$GITHUB_PATH"
printf 'path=%s\n' "$directory/modseal" >>"$GITHUB_OUTPUT"
"$directory/modseal" version
