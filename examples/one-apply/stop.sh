#!/bin/sh
# Asks the server to end, and waits until it has; it is no failure if it has ended before.
#
#   DIRECTORY  where its files are kept
set -eu
[ -f "$DIRECTORY/pid" ] || exit 0
pid=$(cat "$DIRECTORY/pid")
rm -f "$DIRECTORY/pid" "$DIRECTORY/key.pem"
kill "$pid" 2>/dev/null || exit 0
for _ in $(seq 200); do
	kill -0 "$pid" 2>/dev/null || exit 0
	sleep 0.2
done
echo "The server, process $pid, did not end within 40 s." >&2
exit 1
