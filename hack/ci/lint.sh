#!/usr/bin/env bash
# Checks what hack/ci has for GitHub Actions: the actions by the published schema, a
# workflow that uses all of them by actionlint, and every script by shellcheck. ACTIONLINT
# names the program; hack/ci/tools.sh fetches the rest. GitLab, Tekton, Argo Workflows and
# Kubernetes are checked by the tests of the Go module here.
set -euo pipefail
cd "$(dirname "$0")/../.."

if command -v shellcheck >/dev/null; then
	shellcheck hack/ci/*.sh hack/ci/github/*.sh hack/ci/github/*/*.sh
elif [ -n "${MODSEAL_E2E_REQUIRE_ALL:-}" ]; then
	echo "hack/ci: MODSEAL_E2E_REQUIRE_ALL is set, and shellcheck is missing (Debian: shellcheck)" >&2
	exit 1
else
	echo "NOT CHECKED by shellcheck, which is missing (Debian: shellcheck): hack/ci/*.sh"
fi

for action in hack/ci/github/*/action.yml; do
	node bin/ci/action-validator/cli.mjs "$action" || {
		echo "hack/ci: $action is no action by the schema" >&2
		exit 1
	}
done
"${ACTIONLINT:-actionlint}" .github/workflows/*.yml hack/ci/github/example.yml
echo "hack/ci: actions, their example and the workflows are well formed"
