"""What moto answers differently from AWS, where it matters to a plan, to a server or to a destroy."""

import json

from moto.core.responses import ActionResult, EmptyResult
from moto.ec2 import models as ec2_models
from moto.ec2.models import amis, ec2_backends, instances as ec2_instances, launch_templates, security_groups
from moto.ec2.responses import amis as amis_responses, instances as instances_responses
from moto.ec2.responses.launch_templates import LaunchTemplates
from moto.ec2.utils import parse_user_data
from moto.elasticache import models as cache
from moto.elasticache.exceptions import CacheSubnetGroupNotFound
from moto.elasticache.responses import ElastiCacheResponse
from moto.iam.access_control import IAMPolicy, PermissionResult
from moto.kms.models import kms_backends
from moto.s3.models import FakeBucket, FakeDeleteMarker
from moto.s3.responses import S3Response
from moto.servicequotas.models import ServiceQuotasBackend
from moto.servicequotas.responses import ServiceQuotasResponse


def install():
    fix_launch_templates()
    fix_security_groups()
    fix_bucket_policies()
    fix_bucket_configurations()
    fix_cache()
    fix_images()
    fix_networks()
    fix_instances()
    fix_quotas()


def fix_launch_templates():
    """Tags of a template are not tags of what it launches, and user data is of the same type in every version."""
    stock = LaunchTemplates.create_launch_template

    def create(self):
        result = stock(self)
        data = self.ec2_backend.get_launch_template_by_name(self._get_param("LaunchTemplateName")).default_version().data
        data["TagSpecifications"] = [t for t in data.get("TagSpecifications", []) if t["ResourceType"] != "launch-template"]
        return result

    def user_data(version):
        text = version.data.get("UserData")
        return text if text is None or type(text).__name__ == "Base64EncodedString" else parse_user_data(text)

    LaunchTemplates.create_launch_template = create
    launch_templates.LaunchTemplateVersion.user_data = property(user_data)


def fix_security_groups():
    """A rule between groups keeps its description."""
    rule = security_groups.SecurityGroupRule
    rule.description = property(lambda self: self.ip_range.get("Description") or (self.source_group or {}).get("Description"))


def fix_bucket_policies():
    """moto heeds no conditions, so a denial of requests without TLS would deny all. Here all requests count as over TLS."""
    def get_permission(self, action, resource):
        document = json.loads(self.policy or '{"Statement": []}')
        document["Statement"] = [s for s in document["Statement"] if not insecure_transport(s)]
        if not document["Statement"]:
            return PermissionResult.NEUTRAL
        return IAMPolicy(json.dumps(document)).is_action_permitted(action, resource)

    FakeBucket.get_permission = get_permission


# Configurations of a bucket that are answered as they were put: moto lacks the one, and forgets half of the other.
AS_PUT = {
    "metrics": "<Error><Code>NoSuchConfiguration</Code><Message>The specified configuration does not exist.</Message></Error>",
    "replication": "<Error><Code>ReplicationConfigurationNotFoundError</Code><Message>The replication configuration was not found.</Message></Error>",
}


def fix_bucket_configurations():
    FakeDeleteMarker.dispose = lambda self: None  # which moto calls on every version that is deleted
    put, get, delete = S3Response._bucket_response_put, S3Response._bucket_response_get, S3Response._bucket_response_delete

    def kept(self, bucket_name, querystring):
        """Where the configuration of a request is kept: with its bucket, by kind and id. Of other requests, nothing."""
        for kind in AS_PUT:
            if kind in querystring:
                bucket = self.backend.get_bucket(bucket_name)
                return bucket.__dict__.setdefault("as_put", {}), (kind, querystring.get("id", [""])[0])
        return None, None

    def put_kept(self, request, bucket_name, querystring):
        configurations, key = kept(self, bucket_name, querystring)
        if configurations is None:
            return put(self, request, bucket_name, querystring)
        configurations[key] = self.body
        return 200, {}, ""

    def get_kept(self, bucket_name, querystring):
        configurations, key = kept(self, bucket_name, querystring)
        if configurations is None:
            return get(self, bucket_name, querystring)
        if key not in configurations:
            return 404, {"Content-Type": "application/xml"}, AS_PUT[key[0]]
        return 200, {"Content-Type": "application/xml"}, configurations[key]

    def delete_kept(self, bucket_name, querystring):
        configurations, key = kept(self, bucket_name, querystring)
        if configurations is None:
            return delete(self, bucket_name, querystring)
        configurations.pop(key, None)
        return 204, {}, ""

    S3Response._bucket_response_put, S3Response._bucket_response_get, S3Response._bucket_response_delete = put_kept, get_kept, delete_kept


def insecure_transport(statement):
    condition = statement.get("Condition", {})
    return statement["Effect"] == "Deny" and condition.get("Bool", {}).get("aws:SecureTransport") in ("false", ["false"])


def fix_cache():
    """Replication groups have their members, which are clusters too, and end; so do subnet groups."""
    backend, calls = cache.ElastiCacheBackend, ElastiCacheResponse
    stock_create, stock_delete = backend.create_replication_group, backend.delete_replication_group

    def create(self, **group):
        if group.get("num_cache_clusters") and not group.get("num_node_groups"):
            group["replicas_per_node_group"] = group["num_cache_clusters"] - 1
        made = stock_create(self, **group)
        made.auto_minor_version_upgrade = str(group.get("auto_minor_version_upgrade")).lower() == "true"
        made.engine_version = group.get("engine_version") or {"valkey": "8.0.1"}.get(made.engine, "7.1.0")
        if made.engine_version.count(".") == 1:
            made.engine_version += ".0"
        return made

    def delete(self, **group):
        made = stock_delete(self, **group)
        self.replication_groups.pop(made.replication_group_id)
        return made

    def describe_cache_clusters(self):
        wanted = self._get_param("CacheClusterId")
        backend = self.elasticache_backend
        members = [member(g, name) for g in backend.replication_groups.values() for name in g.member_clusters if wanted in (None, name)]
        own = [] if wanted and members else backend.describe_cache_clusters(cache_cluster_id=wanted)
        return ActionResult({"CacheClusters": list(own) + members})

    def delete_cache_subnet_group(self):
        name = self._get_param("CacheSubnetGroupName")
        if self.elasticache_backend.cache_subnet_groups.pop(name, None) is None:
            raise CacheSubnetGroupNotFound(name)
        return EmptyResult()

    backend.create_replication_group, backend.delete_replication_group = create, delete
    calls.describe_cache_clusters, calls.delete_cache_subnet_group = describe_cache_clusters, delete_cache_subnet_group


def member(group, name):
    """A member of a replication group, as a cluster."""
    family = "valkey8" if group.engine == "valkey" else "redis7"
    return {
        "CacheClusterId": name, "ReplicationGroupId": group.replication_group_id, "CacheClusterStatus": "available",
        "CacheNodeType": group.cache_node_type, "Engine": group.engine, "EngineVersion": group.engine_version, "NumCacheNodes": 1,
        "CacheSubnetGroupName": group.cache_subnet_group_name,
        "SecurityGroups": [{"SecurityGroupId": i, "Status": "active"} for i in group.security_group_ids or []],
        "PreferredMaintenanceWindow": group.preferred_maintenance_window or "sun:05:00-sun:06:00",
        "SnapshotWindow": group.snapshot_window, "SnapshotRetentionLimit": group.snapshot_retention_limit,
        "AutoMinorVersionUpgrade": group.auto_minor_version_upgrade, "AuthTokenEnabled": group.auth_token_enabled,
        "TransitEncryptionEnabled": group.transit_encryption_enabled, "AtRestEncryptionEnabled": group.at_rest_encryption_enabled,
        "CacheParameterGroup": {"CacheParameterGroupName": group.cache_parameter_group_name or "default." + family, "ParameterApplyStatus": "in-sync"},
        "ARN": group.arn.replace(":replicationgroup:" + group.replication_group_id, ":cluster:" + name),
    }


def fix_images():
    """An image keeps what it is registered with."""
    ami, responses = amis.Ami, amis_responses.AmisResponse
    stock = responses.register_image
    stock_mappings = ami.block_device_mappings

    def register_image(self):
        result = stock(self)
        image = self.ec2_backend.amis[result.result["ImageId"]]
        image.virtualization_type = self._get_param("VirtualizationType") or "hvm"
        image.root_device_type = "ebs"
        for parameter, attribute in (("Architecture", "architecture"), ("RootDeviceName", "root_device_name"), ("BootMode", "boot_mode"),
                                     ("EnaSupport", "ena_support"), ("ImdsSupport", "imds_support"), ("BlockDeviceMappings", "mappings")):
            if self._get_param(parameter):
                setattr(image, attribute, self._get_param(parameter))
        return result

    responses.register_image = register_image
    stock_device = ec2_instances.Instance.add_block_device

    def add_block_device(self, size, device_path, snapshot_id, *args, **kwargs):
        if size is None and snapshot_id is None:  # a root volume is as large as its image's
            size = self.ec2_backend.amis[self.image_id].block_device_mappings[0]["Ebs"]["VolumeSize"]
        stock_device(self, size, device_path, snapshot_id, *args, **kwargs)

    ec2_instances.Instance.add_block_device = add_block_device
    instances_responses.InstanceResponse._validate_block_device_mapping = staticmethod(lambda mapping: None)  # which wants the size said
    ami.block_device_mappings = property(lambda self: getattr(self, "mappings", None) or stock_mappings.fget(self))


def fix_networks():
    """What belongs to a NAT gateway or a VPC goes with it."""
    backend = ec2_models.EC2Backend
    stock_nat, stock_vpc = backend.delete_nat_gateway, backend.delete_vpc

    def delete_nat_gateway(self, nat_gateway_id):
        gateway = stock_nat(self, nat_gateway_id)
        self.enis.pop(gateway._eni.id, None)
        return gateway

    def delete_vpc(self, vpc_id):
        vpc = stock_vpc(self, vpc_id)
        for acl in [a for a in self.network_acls.values() if a.vpc_id == vpc_id]:
            self.network_acls.pop(acl.id)
        return vpc

    backend.delete_nat_gateway, backend.delete_vpc = delete_nat_gateway, delete_vpc


def fix_instances():
    """The interface that an instance was launched with goes with it, and the key that encrypts its volume by default is AWS's own."""
    terminate, default_key = ec2_instances.Instance.terminate, ec2_models.EC2Backend._create_default_encryption_key

    def terminate_whole(self):
        state = terminate(self)
        for interface in self.nics.values():
            self.ec2_backend.enis.pop(interface.id, None)
        return state

    def aws_key(self):
        arn = default_key(self)
        kms_backends[self.account_id][self.region_name].keys[arn.rpartition("/")[2]].key_manager = "AWS"
        return arn

    ec2_instances.Instance.terminate, ec2_models.EC2Backend._create_default_encryption_key = terminate_whole, aws_key


def instances(account):
    """What runs, with what it was launched with."""
    return [
        {
            "ID": i.id, "Image": i.image_id, "Type": i.instance_type, "UserData": i.user_data.as_bytes().decode() if i.user_data else "", "Subnet": i.subnet_id,
            "Group": getattr(getattr(i, "autoscaling_group", None), "name", ""),
            "Version": {t["key"]: t["value"] for t in i.get_tags()}.get("aws:ec2launchtemplate:version", ""),
        }
        for backend in list(ec2_backends[account].values()) for i in backend.all_instances() if i.state != "terminated"
    ]


def inventory(account):
    """Instances that have not ended; others are kept for an hour at AWS, and for ever here."""
    return {"ec2.instances": {
        f"{region}/{i.id}" for region, backend in list(ec2_backends[account].items()) for i in backend.all_instances() if i.state != "terminated"
    }}


def fix_quotas():
    """moto knows the quotas of VPCs alone, and no default. This is how many vCPUs of on-demand instances an account may run."""
    stock = ServiceQuotasBackend.get_service_quota

    def get_service_quota(self, service_code, quota_code):
        if (service_code, quota_code) == ("ec2", "L-1216C47A"):
            arn = f"arn:aws:servicequotas:{self.region_name}:{self.account_id}:{service_code}/{quota_code}"
            return {"QuotaArn": arn, "ServiceCode": service_code, "QuotaCode": quota_code, "QuotaName": "Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances", "Value": 32.0}
        return stock(self, service_code, quota_code)

    ServiceQuotasBackend.get_service_quota = get_service_quota
    ServiceQuotasResponse.get_aws_default_service_quota = ServiceQuotasResponse.get_service_quota
