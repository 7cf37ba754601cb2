#!/usr/bin/env bash
# Fetches into ./bin/ci what hack/ci is checked against, from npm packages at pinned
# versions whose bytes are checked against the sums below:
#
#   bin/ci/gitlab-ci.json     GitLab's published schema of .gitlab-ci.yml
#                             ($id https://gitlab.com/.gitlab-ci.yml), as gitlab-ci-local ships it
#   bin/ci/action-validator   SchemaStore's schema of GitHub actions and what checks by it
set -euo pipefail
cd "$(dirname "$0")/../.."

to="$PWD/bin/ci"
mkdir -p "$to"
work=$(mktemp -d "$to/.fetch.XXXXXX")
trap 'rm -rf "$work"' EXIT

# fetch PACKAGE@VERSION SHA256 DIRECTORY unpacks a package.
fetch() {
	local package=$1 sum=$2 directory=$3 tarball
	tarball=$(cd "$work" && npm pack --silent --ignore-scripts "$package")
	echo "$sum  $work/$tarball" | sha256sum --check --status || {
		echo "hack/ci: $package is not the package that was pinned: $(sha256sum "$work/$tarball")" >&2
		exit 1
	}
	mkdir -p "$directory"
	tar -xzf "$work/$tarball" -C "$directory" --strip-components=1 --no-same-owner
}

if [ ! -s "$to/gitlab-ci.json" ]; then
	fetch gitlab-ci-local@4.61.1 de6dbb860a9436f7513132553db13f835cf9be54333df8f753cce570cb0c316d "$work/gitlab"
	# A module of JavaScript whose one statement is the schema.
	cp "$work/gitlab/src/schema/schema.js" "$work/schema.mjs"
	node --input-type=module --eval 'const m = await import(process.argv[1]); console.log(JSON.stringify(m.schema, null, 1))' \
		"file://$work/schema.mjs" >"$work/gitlab-ci.json"
	mv "$work/gitlab-ci.json" "$to/gitlab-ci.json"
fi
if [ ! -s "$to/action-validator/cli.mjs" ]; then
	modules="$work/action-validator/node_modules/@action-validator"
	fetch @action-validator/core@0.6.0 a48f55be8d76a1d0e66dd9bbdfdd583c09e2bd5110539f1b4cd9512d442843bd "$modules/core"
	fetch @action-validator/cli@0.6.0 06f45621e8de26d44ae4dee5ab4c9db67b3461f5ef70b73628a4cc729f8fb342 "$modules/cli"
	fetch chalk@5.2.0 9687d5d17a063e1b2aceaae5b83f8765eaeaf1c4bae8d74a21c1e9aeba1e4862 "$work/action-validator/node_modules/chalk"
	rm -rf "$to/action-validator"
	mv "$work/action-validator" "$to/action-validator"
	ln -s node_modules/@action-validator/cli/cli.mjs "$to/action-validator/cli.mjs"
fi
