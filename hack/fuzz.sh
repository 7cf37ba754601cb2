#!/usr/bin/env bash
# Runs every fuzz target of the module for FUZZTIME each (10s), the others also when one
# has failed.
set -euo pipefail
cd "$(dirname "$0")/.."

time=${FUZZTIME:-10s}
# run runs one target. An input that is worth keeping is minimized in a few tries: the
# minute that is the default can take all the time there is. Go's fuzzer sometimes
# reports its own deadline as a failure when an execution is slow; without an input that
# failed, nothing did.
run() {
	local output status=0
	output=$(go test -run '^$' -fuzz "^$2\$" -fuzztime "$time" -fuzzminimizetime 20x "$1" </dev/null 2>&1) || status=$?
	printf '%s\n' "$output"
	if [ "$status" -ne 0 ] && grep -q '^ *context deadline exceeded$' <<<"$output" && ! grep -q 'Failing input' <<<"$output"; then
		echo "fuzz: $2 ended at its deadline; no input failed"
		return 0
	fi
	return "$status"
}

count=0
failed=()
# Only packages that have a target are built; the names come from the test
# binary itself, so that none is forgotten.
while read -r file; do
	package="./$(dirname "$file")"
	# A package that does not build has no names either, which is no reason to pass it over.
	if ! names=$(go test -run '^$' -list '^Fuzz' "$package") || ! targets=$(grep '^Fuzz' <<<"$names"); then
		printf '%s\n' "$names"
		failed+=("$package, whose targets cannot be listed")
		continue
	fi
	for target in $targets; do
		echo "fuzz: $package $target for $time"
		run "$package" "$target" || failed+=("$package $target")
		count=$((count + 1))
	done
done < <(grep -rl --include='*_test.go' --exclude-dir=e2e --exclude-dir=bin '^func Fuzz' . |
	sed 's|^\./||' | awk -F/ -v OFS=/ '{ f = $0; $NF = ""; if (!seen[$0]++) print f }' | sort)

if [ "${#failed[@]}" -gt 0 ]; then
	echo "fuzz: $count targets ran; failed:" >&2
	printf 'fuzz: %s\n' "${failed[@]}" >&2
	exit 1
fi
if [ "$count" -eq 0 ]; then
	echo "fuzz: no target was found" >&2
	exit 1
fi
echo "fuzz: $count targets ran"
