#!/usr/bin/env bash
# Runs modseal in a step of a GitHub Actions job: run.sh COMMAND [ARG…].
#
# The actions beside it give their inputs in the environment, never in the text of a
# script, so that no input can become a command:
#
#   MODSEAL_FLAGS     further arguments, one a line
#   MODSEAL_<NAME>    for each name of MODSEAL_OPTIONS: values of the flag --<name>, one a
#                     line; none when it is empty
#   MODSEAL_ATTEMPTS  how often to try when the transport failed (exit code 7)
#   MODSEAL_WAIT      seconds between tries
set -euo pipefail

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

arguments=("$@")
for name in ${MODSEAL_OPTIONS:-}; do
	variable=MODSEAL_${name^^}
	variable=${variable//-/_}
	while IFS= read -r value; do
		if [[ -n $value ]]; then arguments+=("--$name" "$value"); fi
	done <<<"${!variable:-}"
done
while IFS= read -r value; do
	if [[ -n $value ]]; then arguments+=("$value"); fi
done <<<"${MODSEAL_FLAGS:-}"
arguments+=(
	--report "outputs=$scratch/outputs"
	--report "markdown=$scratch/summary"
	--report "annotations=$scratch/annotations"
)

# What modseal prints has foreign text in it, such as names of files and answers of
# registries. Until the token is said again, the runner takes nothing of it for a
# command of the workflow.
token=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
printf '::stop-commands::%s\n' "$token"
code=0
for ((attempt = 1; ; attempt++)); do
	rm -f "$scratch"/*
	code=0
	modseal "${arguments[@]}" || code=$?
	if ((code != 7 || attempt >= ${MODSEAL_ATTEMPTS:-1})); then break; fi
	sleep "${MODSEAL_WAIT:-10}"
done
printf '\n::%s::\n' "$token"

# Absent when modseal could not even be called as it was: then its message says why.
for report in outputs:"$GITHUB_OUTPUT" summary:"$GITHUB_STEP_SUMMARY"; do
	if [[ -f $scratch/${report%%:*} ]]; then cat "$scratch/${report%%:*}" >>"${report#*:}"; fi
done
if [[ -f $scratch/annotations ]]; then
	cat "$scratch/annotations"
else
	printf 'exit_code=%s\nverified=false\noutcome=failed\nretry=false\n' "$code" >>"$GITHUB_OUTPUT"
	printf '::error title=modseal::exit code %s; see the log of this step\n' "$code"
fi
exit "$code"
