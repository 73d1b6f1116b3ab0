#!/bin/sh
# registry-failed REASON: leaves in the bucket why this instance did not start the server%{ if group != null }, and tells its Auto Scaling group to go on without it. After
# three instances in a row it tells the group to launch no more, since a template that cannot work would replace them for ever; the next
# terraform apply lets it launch again.
#
# Failures are counted in the bucket, after the newest word that a launch succeeded. So those of bucket and network are not counted, which is
# right for an outage that passes: the group notices when the time of its launch hook is over, and tries again.%{ else }.%{ endif }
set -eu
. /usr/local/libexec/registry-aws

bucket="${bucket}"
prefix="${prefix}"
id=$(get instance-id)
now() { date -u +%Y-%m-%dT%H:%M:%SZ; }

# put NAME: leaves the standard input.
put() { head -c 16000 | signed s3 "${region}" "$bucket/$prefix$1" --request PUT --header 'Content-Type: text/plain' --data-binary @-; }

# What the server has said itself is better, and stays.
signed s3 "${region}" "$bucket/$prefix$id" --output /dev/null 2>/dev/null ||
	echo "$(now) $id did not start: $1" | put "$id"
%{ if group != null ~}

# ask ACTION [OPTION OF CURL…]
ask() {
	action=$1
	shift
	signed autoscaling "${region}" "${autoscaling}" --output /dev/null --data "Action=$action&Version=2011-01-01" --data-urlencode 'AutoScalingGroupName=${group}' "$@"
}

failed=$(signed s3 "${region}" "$bucket/?prefix=$(echo "$prefix" | sed 's|/|%2F|g')" | tr '<' '\n' | awk -F '>' '
	$1 == "Key" { name = $2; sub(".*/", "", name) }
	$1 == "LastModified" { time = $2 }
	$1 == "/Contents" { at[name] = time }
	END { since = at["launches"]; for (name in at) n += name ~ /^i-/ && at[name] > since; print n + 0 }')
if [ "$failed" -ge 3 ]; then
	ask SuspendProcesses --data ScalingProcesses.member.1=Launch
	why="$failed instances in a row did not start. Mend what they say and run terraform apply, which lets the group launch again."
	echo "$(now) $id stopped launches: $why" | put launches
	echo "registry: the group ${group} launches no more instances: $why"
fi
ask CompleteLifecycleAction --data LifecycleActionResult=ABANDON --data-urlencode 'LifecycleHookName=${hook}' --data "InstanceId=$id"
%{ endif ~}
