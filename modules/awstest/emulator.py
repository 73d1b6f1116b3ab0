"""AWS for tests: moto's server, with what Terraform and our servers need and moto 5 lacks, a record of all calls, and a list of what there is.

    python emulator.py PORT RECORD

RECORD is a file that gets one line of JSON for each call.
"""

import json
import os
import sys
import threading
from urllib.parse import parse_qs, unquote

from moto import settings  # noqa: F401 (reads the environment)
from moto.core import DEFAULT_ACCOUNT_ID
from moto.core.base_backend import AccountSpecificBackend, BackendDict
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from moto.s3.responses import ACTION_MAP
from moto.sts.models import sts_backends
from werkzeug.serving import WSGIRequestHandler, run_simple

import emulator_fixes
import emulator_groups


class Recorder:
    """Passes requests on, and writes down who called what."""

    def __init__(self, app, path):
        self.app = app
        self.lock = threading.Lock()
        self.file = open(path, "a", buffering=1)

    def __call__(self, environ, start_response):
        if environ["PATH_INFO"] in OWN:
            body = json.dumps(OWN[environ["PATH_INFO"]]()).encode()
            start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
            return [body]
        call = describe(environ, self.app)

        def started(status, headers, exc_info=None):
            call["status"] = int(status.split()[0])
            return start_response(status, headers, exc_info) if exc_info else start_response(status, headers)

        try:
            return self.app(environ, started)
        finally:
            if not environ["PATH_INFO"].startswith("/moto-api"):
                with self.lock:
                    self.file.write(json.dumps(call) + "\n")


def describe(environ, app):
    """Service, action as policies name it, resource where the request line tells, and principal of a request."""
    query = parse_qs(environ.get("QUERY_STRING", ""), keep_blank_values=True)
    key, service = signature(environ, query)
    target = environ.get("HTTP_X_AMZ_TARGET")
    resource = ""
    if target:
        action = target.rpartition(".")[2]
    elif service == "s3":
        action, resource = s3_action(environ["REQUEST_METHOD"], unquote(environ["PATH_INFO"]), query)
    else:
        body = app._get_body(environ) or ""
        action = (parse_qs(body).get("Action") or query.get("Action") or [environ["REQUEST_METHOD"] + " " + environ["PATH_INFO"]])[0]
    return {"service": service, "action": action, "resource": resource, "access_key": key, "principal": principal(key), "status": 0}


def signature(environ, query):
    """Access key and service of a signed request, in its header or in its query."""
    header = environ.get("HTTP_AUTHORIZATION", "")
    scope = header.partition("Credential=")[2].split(",")[0] or (query.get("X-Amz-Credential") or [""])[0]
    parts = scope.split("/")
    if len(parts) < 5:
        return "", "s3" if not header else ""
    return parts[0], {"eventbridge": "events"}.get(parts[3], parts[3])


# What a policy calls the reads and writes that moto's own table does not know.
S3_BUCKET = {"GET": "ListBucket", "HEAD": "ListBucket", "PUT": "CreateBucket", "DELETE": "DeleteBucket", "POST": "DeleteObject"}


def s3_action(method, path, query):
    bucket, _, key = path.lstrip("/").partition("/")
    if not bucket:
        return "ListAllMyBuckets", ""
    if not key:
        if method == "GET" and "uploads" in query:
            return "ListBucketMultipartUploads", bucket
        if method == "GET" and "versions" in query:
            return "ListBucketVersions", bucket
        for name, action in ACTION_MAP["BUCKET"].get(method, {}).items():
            if name in query and name != "DEFAULT":
                return action, bucket
        return S3_BUCKET.get(method, method), bucket
    if "uploadId" in query and method in ("GET", "DELETE"):
        return {"GET": "ListMultipartUploadParts", "DELETE": "AbortMultipartUpload"}[method], bucket + "/" + key
    return {"GET": "GetObject", "HEAD": "GetObject", "PUT": "PutObject", "POST": "PutObject", "DELETE": "DeleteObject"}.get(method, method), bucket + "/" + key


def principal(key):
    """The role that a key of STS was given out for, or nothing."""
    for account in sts_backends.values():
        for backend in account.values():
            role = backend.get_assumed_role_from_access_key(key)
            if role:
                return role.role_arn
    return ""


# What stays when everything is destroyed, here as at AWS: what is written down about what was.
HISTORY = {
    "ec2.tags",  # they go with what they are at
    "iam.access_keys",  # of roles; those of users are found by their users
    "ec2.reservations", "ec2.launch_template_insert_order", "ec2.deleted_amis", "sts.assumed_roles", "cloudwatch.metric_data",
}


# What a service has when it is first asked: default VPCs, AWS's own policies. By the identity of its backend.
FIRST = {}


def note_first():
    """Has what every account has from the start noted, for inventory to leave it out."""
    stock = AccountSpecificBackend.__getitem__

    def getitem(self, region):
        is_new = region not in self.keys()
        backend = stock(self, region)
        if is_new and id(backend) not in FIRST:
            FIRST[id(backend)] = objects(backend)
        return backend

    AccountSpecificBackend.__getitem__ = getitem


def objects(backend):
    """All that a backend has in a dict or a list, by kind."""
    return {kind: set(keys(value)) for kind, value in list(vars(backend).items()) if not kind.startswith("_")}


def inventory():
    """All that the emulator has, by service and kind, and had not from the start."""
    kept = {}
    for backends in list(BackendDict._instances):
        for account in list(backends.values()):
            for region, backend in list(account.items()):
                first = FIRST.get(id(backend), {})
                for kind, names in objects(backend).items():
                    name = f"{backends.service_name}.{kind}"
                    if name not in HISTORY and (names := names - first.get(kind, set())):
                        kept.setdefault(name, set()).update(f"{region}/{n}" for n in names)
    for name, value in emulator_fixes.inventory(DEFAULT_ACCOUNT_ID).items():
        kept.setdefault(name, set()).update(value)
    return {name: sorted(value) for name, value in sorted(kept.items()) if value}


def gone(item):
    """What AWS still shows for an hour, or keeps for the days in which a deletion can be taken back; and what is AWS's own."""
    return (getattr(item, "state", None) in ("deleted", "terminated") or getattr(item, "key_state", None) == "PendingDeletion"
            or getattr(item, "deleted_date", None) or getattr(item, "key_manager", None) == "AWS")


def keys(value):
    if isinstance(value, dict):
        for key, item in list(value.items()):
            if gone(item):
                continue
            if isinstance(item, (dict, list, set)):  # a kind by region, or by type
                yield from (f"{key}/{k}" for k in keys(item))
            else:
                yield str(key)
    elif isinstance(value, (list, set, tuple)):
        for item in list(value):
            if isinstance(item, str):
                yield item
            elif not isinstance(item, (dict, list, int, float)):
                yield str(next((getattr(item, a) for a in ("arn", "id", "name") if getattr(item, a, None)), type(item).__name__))


OWN = {"/awstest/inventory": inventory, "/awstest/instances": lambda: emulator_fixes.instances(DEFAULT_ACCOUNT_ID)}


class Quiet(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_request(self, code="-", size="-"):
        if str(code).startswith("5"):
            super().log_request(code, size)


def end_with_parent():
    """Ends with whoever started it and holds the other end of its input."""
    sys.stdin.read()
    os._exit(0)


def main():
    port, record = int(sys.argv[1]), sys.argv[2]
    threading.Thread(target=end_with_parent, daemon=True).start()
    os.environ["MOTO_PORT"] = str(port)
    note_first()
    emulator_fixes.install()
    emulator_groups.install(wait_for_hooks=os.environ.get("AWSTEST_WAIT_FOR_HOOKS") == "true")
    app = Recorder(DomainDispatcherApplication(create_backend_app), record)
    run_simple("127.0.0.1", port, app, threaded=True, request_handler=Quiet)


if __name__ == "__main__":
    main()
