#!/usr/bin/env bash
# Fails when "make generate" or "go mod tidy" would change a file. It compares
# with the files as they are, committed or not, so it can be run at any time;
# on failure the generated files are left up to date.
set -euo pipefail
cd "$(dirname "$0")/.."

sums() {
	git ls-files -z -co --exclude-standard | sort -z | xargs -0 sha256sum 2>/dev/null || true
}

before=$(sums)
make --no-print-directory generate
after=$(sums)
failed=0
if [ "$before" != "$after" ]; then
	echo "stale generated files (run make generate and commit):" >&2
	diff <(echo "$before") <(echo "$after") | awk '/^[<>]/ { print "  " $3 }' | sort -u >&2 || true
	failed=1
fi
for module in . e2e; do
	(cd "$module" && go mod tidy -diff) || {
		echo "$module/go.mod or go.sum is not tidy (run go mod tidy)" >&2
		failed=1
	}
done
exit $failed
