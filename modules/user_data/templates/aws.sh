# Requests to AWS with the credentials of the instance's role, for the scripts beside this one. It takes nothing but curl, which knows how they
# are signed.

metadata=http://169.254.169.254/latest
token=$(curl -fsS --retry 5 -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 300' "$metadata/api/token")
get() { curl -fsS --retry 5 -H "X-aws-ec2-metadata-token: $token" "$metadata/meta-data/$1"; }

role=$(get iam/security-credentials/)
# JSON with one string in each line that matters.
credentials=$(get "iam/security-credentials/$role" | tr ',{' '\n\n')
field() { printf '%s\n' "$credentials" | sed -n "s/^ *\"$1\" *: *\"\([^\"]*\)\".*/\1/p"; }

# signed SERVICE REGION URL [OPTION OF CURL…]
signed() {
	service=$1 region=$2 url=$3
	shift 3
	# Keys are given in a file, since every user of the machine may read arguments.
	curl --config /dev/fd/3 "$@" 3<<CONFIG
fail
silent
show-error
retry = 5
url = "$url"
aws-sigv4 = "aws:amz:$region:$service"
user = "$(field AccessKeyId):$(field SecretAccessKey)"
header = "X-Amz-Security-Token: $(field Token)"
$([ "$service" != s3 ] || echo 'header = "X-Amz-Content-Sha256: UNSIGNED-PAYLOAD"')
CONFIG
}
