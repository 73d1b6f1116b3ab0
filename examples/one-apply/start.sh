#!/bin/sh
# Starts the server in the background; main.tf's provider waits until it is ready.
#
#   SERVER       its program
#   DIRECTORY    where its files are kept
#   CERTIFICATE  the chain of its certificate, PEM
#   PRIVATE_KEY  the key to it, PEM
#   REGISTRY_*   its configuration
set -eu
umask 077
mkdir -p "$DIRECTORY"
cd "$DIRECTORY"
printf '%s' "$CERTIFICATE" >certificate.pem
printf '%s' "$PRIVATE_KEY" >key.pem
echo 'version: 0.1' >config.yml

REGISTRY_HTTP_TLS_CERTIFICATE=$DIRECTORY/certificate.pem
REGISTRY_HTTP_TLS_KEY=$DIRECTORY/key.pem
export REGISTRY_HTTP_TLS_CERTIFICATE REGISTRY_HTTP_TLS_KEY
unset CERTIFICATE PRIVATE_KEY

# A server that cannot start says why at once, and ends.
# Ctrl-C in Terraform is not for the server.
session=$(command -v setsid || command -v nohup)
"$session" "$SERVER" serve config.yml </dev/null >>registry.log 2>&1 &
echo $! >pid
for _ in 1 2 3 4 5 6 7 8 9 10; do
	sleep 0.2
	kill -0 "$(cat pid)" 2>/dev/null || {
		echo "The server did not start. Its log, $DIRECTORY/registry.log, ends with:" >&2
		tail -n 5 registry.log >&2
		exit 1
	}
done
