#!/bin/sh
# Fetches the server from S3 and verifies it.
set -eu
umask 077
. /usr/local/libexec/registry-aws

# The image may have exactly this one.
if echo "${sha256}  /usr/local/bin/registryserver" | sha256sum --check --status 2>/dev/null; then
	exit
fi

program=$(mktemp)
trap 'rm -f "$program"' EXIT
signed s3 "${region}" "${url}" --output "$program"

echo "${sha256}  $program" | sha256sum --check --quiet || {
	echo "What lies at ${url} is not the program whose SHA-256 is ${sha256}; upload that one, or correct the checksum." >&2
	exit 1
}
install -m 0755 "$program" /usr/local/bin/registryserver
