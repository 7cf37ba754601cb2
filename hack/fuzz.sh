#!/usr/bin/env bash
# Runs every fuzz target of the module for FUZZTIME each (10s).
set -euo pipefail
cd "$(dirname "$0")/.."

time=${FUZZTIME:-10s}
count=0
# Only packages that have a target are built; the names come from the test
# binary itself, so that none is forgotten.
while read -r file; do
	package="./$(dirname "$file")"
	for target in $(go test -run '^$' -list '^Fuzz' "$package" | grep '^Fuzz'); do
		echo "fuzz: $package $target for $time"
		go test -run '^$' -fuzz "^$target\$" -fuzztime "$time" "$package" </dev/null
		count=$((count + 1))
	done
done < <(grep -rl --include='*_test.go' --exclude-dir=e2e --exclude-dir=bin '^func Fuzz' . |
	sed 's|^\./||' | awk -F/ -v OFS=/ '{ f = $0; $NF = ""; if (!seen[$0]++) print f }' | sort)

if [ "$count" -eq 0 ]; then
	echo "fuzz: no target was found" >&2
	exit 1
fi
echo "fuzz: $count targets ran"
