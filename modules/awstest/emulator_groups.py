"""Auto Scaling groups as Terraform and instances see them: mixed instances, lifecycle hooks, instance refresh, notifications.

Instances are in service at once; where hooks are waited for, once CompleteLifecycleAction was called for them or the hook's time is over.
"""

import copy
import threading
import time
import uuid

from moto.autoscaling import models
from moto.autoscaling.exceptions import AutoscalingClientError
from moto.autoscaling.responses import AutoScalingResponse
from moto.core.responses import ActionResult, EmptyResult
from moto.core.utils import utcnow

Group, Backend = models.FakeAutoScalingGroup, models.AutoScalingBackend
LAUNCHING, TERMINATING = "autoscaling:EC2_INSTANCE_LAUNCHING", "autoscaling:EC2_INSTANCE_TERMINATING"
# Of a call that does not say them, a group keeps these as they are.
KEPT = {"DefaultInstanceWarmup": "default_instance_warmup", "MaxInstanceLifetime": "max_instance_lifetime", "DefaultCooldown": "default_cooldown"}
# Instances warm up faster than at AWS: for as long as a load balancer needs to find them healthy.
MAX_WARMUP = 15
ACTIVE = ("InService", "Pending", "Pending:Wait")


class Hooks:
    """Who waits for which hook."""

    def __init__(self, wait):
        self.wait = wait
        self.lock = threading.Condition()
        self.results = {}  # (group, hook, instance) -> CONTINUE or ABANDON

    def run(self, backend, group, state, transition):
        """Waits for the hooks of a transition, and says whether the instance may go on."""
        going_on = True
        for hook in backend.describe_lifecycle_hooks(group.name):
            if self.wait and hook.lifecycle_transition == transition:
                state.lifecycle_state = "Pending:Wait" if transition == LAUNCHING else "Terminating:Wait"
                key = (group.name, hook.name, state.instance_id)
                with self.lock:
                    self.lock.wait_for(lambda: key in self.results, timeout=hook.heartbeat_timeout)
                    going_on = self.results.pop(key, hook.default_result) == "CONTINUE" and going_on
        return going_on

    def complete(self, key, result):
        with self.lock:
            self.results[key] = result
            self.lock.notify_all()


HOOKS = Hooks(False)
LOCK = threading.RLock()
REFRESHES = {}  # group -> refreshes, newest first
NOTIFICATIONS = {}  # (group, topic) -> types


def specification(group):
    """Launch template version and instance type of a group's next instance: of the first override, which AWS prefers."""
    policy = (group.mixed_instances_policy or {}).get("LaunchTemplate", {})
    override = (policy.get("Overrides") or [{}])[0]
    spec = override.get("LaunchTemplateSpecification") or policy.get("LaunchTemplateSpecification")
    if spec:
        template = group.ec2_backend.get_launch_template(spec["LaunchTemplateId"]) if spec.get("LaunchTemplateId") else group.ec2_backend.get_launch_template_by_name(spec["LaunchTemplateName"])
        version = template.get_version(spec.get("Version") or "$Default")
    else:
        template = group.ec2_launch_template
        version = template.get_version(group.launch_template_version)
    return version, override.get("InstanceType") or version.instance_type


def launch(group, count, tags):
    """Launches instances, over the subnets in turn, from the very version of the launch template that the group names."""
    if not group.ec2_launch_template:
        return stock_launch(group, count, tags)
    version, instance_type = specification(group)
    data, ec2 = version.data, group.ec2_backend
    interface = (data.get("NetworkInterfaces") or [{}])[0]
    subnets = group.vpc_zone_identifier.split(",") if group.vpc_zone_identifier else [None]
    for _ in range(count):
        subnet = min(subnets, key=lambda s: sum(1 for i in group.instance_states if i.instance.subnet_id == s))
        instance = ec2.run_instances(
            version.image_id, 1, version.user_data, interface.get("Groups") or data.get("SecurityGroupIds") or [],
            instance_type=instance_type, is_instance_type_default=False, subnet_id=subnet, placement=group.availability_zones[0],
            launch_template={"LaunchTemplateId": version.template.id, "Version": version.number},
            associate_public_ip=interface.get("AssociatePublicIpAddress"), metadata_options=data.get("MetadataOptions", {}),
            tags={"instance": {**tags, **version.instance_tags, models.ASG_NAME_TAG: group.name}, "volume": {models.ASG_NAME_TAG: group.name}},
        ).instances[0]
        profile = data.get("IamInstanceProfile") or {}
        if profile:
            ec2.associate_iam_instance_profile(instance.id, profile.get("Name"), profile.get("Arn"))
        instance.autoscaling_group = group
        state = models.InstanceState(instance, "Pending", protected_from_scale_in=group.new_instances_protected_from_scale_in)
        state.template = {"LaunchTemplateId": version.template.id, "LaunchTemplateName": version.template.name, "Version": str(version.number)}
        group.instance_states.append(state)
        in_service(group, state)


def in_service(group, state):
    """Takes a launched instance in once its hooks allow."""
    backend = group.autoscaling_backend

    def go_on():
        if HOOKS.run(backend, group, state, LAUNCHING):
            with LOCK:
                state.lifecycle_state = "InService"
                sync_targets(backend, group)
        else:
            end(group, state)
            replace(group)

    background(go_on)


def end(group, state):
    """Lets an instance go: no longer a target, then its hooks, then it ends."""
    backend = group.autoscaling_backend
    with LOCK:
        state.lifecycle_state = "Terminating"
        sync_targets(backend, group)
    HOOKS.run(backend, group, state, TERMINATING)
    with LOCK:
        group.instance_states = [s for s in group.instance_states if s is not state]
        backend.ec2_backend.terminate_instances([state.instance_id])


def replace(group):
    """Has a group launch what it lacks."""
    with LOCK:
        missing = (group.desired_capacity or 0) - len(group.active_instances())
        if missing > 0 and group.autoscaling_backend.autoscaling_groups.get(group.name) is group:
            launch(group, missing, group.get_propagated_tags())


def background(do):
    if HOOKS.wait:
        threading.Thread(target=do, daemon=True).start()
    else:
        do()


def set_desired_capacity(group, capacity):
    with LOCK:
        group.desired_capacity = group.min_size if capacity is None else capacity
        active = group.active_instances()
        if len(active) < group.desired_capacity:
            launch(group, group.desired_capacity - len(active), group.get_propagated_tags())
        surplus = [s for s in active if not s.protected_from_scale_in][: max(0, len(active) - group.desired_capacity)]
    for state in surplus:
        state.lifecycle_state = "Terminating"
        background(lambda state=state: end(group, state))


def sync_targets(backend, group):
    """Makes exactly the instances in service targets of the group's target groups."""
    if not group.target_group_arns or group.name not in backend.autoscaling_groups:
        return
    serving = {s.instance_id for s in group.instance_states if s.lifecycle_state == "InService"}
    for target_group in backend.elbv2_backend.describe_target_groups(target_group_arns=group.target_group_arns, load_balancer_arn=None, names=None):
        gone = [{"Id": s.instance_id} for s in group.instance_states if s.instance_id not in serving and s.instance_id in target_group.targets]
        target_group.deregister(gone)
        target_group.register([{"Id": i, "Port": target_group.port} for i in serving if i not in target_group.targets])


def delete_group(backend, name):
    """Ends all instances without their hooks, as a forced deletion does."""
    if name not in backend.autoscaling_groups:
        raise models.ValidationError(f"AutoScalingGroup name not found - AutoScalingGroup '{name}' not found")
    with LOCK:
        group = backend.autoscaling_groups[name]
        for state in group.instance_states:
            state.lifecycle_state = "Terminating"
        sync_targets(backend, group)
        backend.autoscaling_groups.pop(name)
        states, group.instance_states, group.desired_capacity = group.instance_states, [], 0
        if states:
            backend.ec2_backend.terminate_instances([s.instance_id for s in states])
        for key in [k for k, h in backend.lifecycle_hooks.items() if h.auto_scaling_group_name == name]:
            backend.lifecycle_hooks.pop(key)
        for key in [k for k, p in backend.policies.items() if p.auto_scaling_group_name == name]:
            backend.policies.pop(key)
        REFRESHES.pop(name, None)
        for key in [k for k in NOTIFICATIONS if k[0] == name]:
            NOTIFICATIONS.pop(key)


def update_group(group, **changes):
    """A call that does not name a policy or template leaves it as it is."""
    if not changes.get("mixed_instances_policy") and not changes.get("launch_template"):
        policy = changes["mixed_instances_policy"] = copy.deepcopy(group.mixed_instances_policy)
        if policy:  # moto keeps both, and takes one
            policy["LaunchTemplate"]["LaunchTemplateSpecification"].pop("LaunchTemplateName", None)
    stock_update(group, **changes)


class Refresh:
    """Replaces the instances of a group one by one: each new one is in service before an old one goes."""

    def __init__(self, group, preferences):
        self.group, self.cancelled = group, False
        self.warmup = min(int(preferences.get("InstanceWarmup") or 0), MAX_WARMUP) if HOOKS.wait else 0
        version, _ = specification(group)
        wanted = str(version.number), version.template.id
        self.old = [s for s in group.active_instances() if not preferences.get("SkipMatching") or (s.launch_template["Version"], s.launch_template["LaunchTemplateId"]) != wanted]
        self.total = len(self.old)
        self.started, self.ended = utcnow(), None
        self.id, self.status = str(uuid.uuid4()), "InProgress"

    def run(self):
        for old in list(self.old):
            if self.cancelled:
                self.finish("Cancelled")
                return
            with LOCK:
                launch(self.group, 1, self.group.get_propagated_tags())
                new = self.group.instance_states[-1]
            while new.lifecycle_state.startswith("Pending"):
                time.sleep(0.1)
            if new.lifecycle_state != "InService":
                self.finish("Failed")
                return
            time.sleep(self.warmup)
            end(self.group, old)
            self.old.remove(old)
        self.finish("Successful")

    def finish(self, status):
        self.status, self.ended = status, utcnow()

    def describe(self):
        done = 100 if not self.total else 100 * (self.total - len(self.old)) // self.total
        return {"InstanceRefreshId": self.id, "AutoScalingGroupName": self.group.name, "Status": self.status, "StartTime": self.started, "EndTime": self.ended,
                "PercentageComplete": done, "InstancesToUpdate": len(self.old)}


class Calls:
    """Calls that moto lacks, or whose parameters it drops; they become methods of its class."""

    def create_auto_scaling_group(self):
        hooks = self._get_param("LifecycleHookSpecificationList", []) or []
        name = self._get_param("AutoScalingGroupName")
        for hook in hooks:  # first, since the group launches at once
            self.autoscaling_backend.create_lifecycle_hook(hook["LifecycleHookName"], name, hook.get("LifecycleTransition"), hook.get("HeartbeatTimeout"), hook.get("DefaultResult"))
        result = stock_calls["create_auto_scaling_group"](self)
        self.keep()
        sync_targets(self.autoscaling_backend, self.autoscaling_backend.autoscaling_groups[name])
        return result

    def update_auto_scaling_group(self):
        result = stock_calls["update_auto_scaling_group"](self)
        self.keep()
        return result

    def keep(self):
        group = self.group()
        for parameter, attribute in KEPT.items():
            value = self._get_int_param(parameter)
            if value is not None:
                setattr(group, attribute, value)
        if self._get_param("InstanceMaintenancePolicy"):
            group.instance_maintenance_policy = self._get_param("InstanceMaintenancePolicy")
        if self._get_param("TerminationPolicies"):
            group.termination_policies = self._get_param("TerminationPolicies")

    def group(self):
        name = self._get_param("AutoScalingGroupName")
        if name not in self.autoscaling_backend.autoscaling_groups:
            raise models.ValidationError("AutoScalingGroup name not found - null")
        return self.autoscaling_backend.autoscaling_groups[name]

    def start_instance_refresh(self):
        group = self.group()
        if any(r.status == "InProgress" for r in REFRESHES.get(group.name, [])):
            raise AutoscalingClientError("InstanceRefreshInProgress", "An Instance Refresh is already in progress.")
        refresh = Refresh(group, self._get_param("Preferences", {}) or {})
        REFRESHES.setdefault(group.name, []).insert(0, refresh)
        background(refresh.run)
        return ActionResult({"InstanceRefreshId": refresh.id})

    def describe_instance_refreshes(self):
        ids = self._get_param("InstanceRefreshIds", [])
        return ActionResult({"InstanceRefreshes": [r.describe() for r in REFRESHES.get(self.group().name, []) if not ids or r.id in ids]})

    def cancel_instance_refresh(self):
        for refresh in REFRESHES.get(self.group().name, []):
            if refresh.status == "InProgress":
                refresh.cancelled, refresh.status = True, "Cancelling"
                return ActionResult({"InstanceRefreshId": refresh.id})
        raise AutoscalingClientError("ActiveInstanceRefreshNotFound", "No in progress or pending Instance Refresh found.")

    def complete_lifecycle_action(self):
        group, hook, instance = self.group(), self._get_param("LifecycleHookName"), self._get_param("InstanceId")
        waiting = [s for s in group.instance_states if s.instance_id == instance and (s.lifecycle_state.endswith(":Wait") or not HOOKS.wait)]
        if not waiting or not self.autoscaling_backend.describe_lifecycle_hooks(group.name, [hook]):
            raise models.ValidationError(f"No active Lifecycle Action found with instance ID {instance}")
        HOOKS.complete((group.name, hook, instance), self._get_param("LifecycleActionResult"))
        return EmptyResult()

    def record_lifecycle_action_heartbeat(self):
        self.group()
        return EmptyResult()

    def put_notification_configuration(self):
        NOTIFICATIONS[(self.group().name, self._get_param("TopicARN"))] = self._get_param("NotificationTypes", [])
        return EmptyResult()

    def describe_notification_configurations(self):
        names = self._get_param("AutoScalingGroupNames", [])
        return ActionResult({"NotificationConfigurations": [
            {"AutoScalingGroupName": group, "TopicARN": topic, "NotificationType": t}
            for (group, topic), types in NOTIFICATIONS.items() if not names or group in names for t in types
        ]})

    def delete_notification_configuration(self):
        NOTIFICATIONS.pop((self._get_param("AutoScalingGroupName"), self._get_param("TopicARN")), None)
        return EmptyResult()


def correct(cls, **attributes):
    """Sets attributes of every new object of a class."""
    stock = cls.__init__

    def init(self, *args, **kwargs):
        stock(self, *args, **kwargs)
        for name, value in attributes.items():
            setattr(self, name, value(self) if callable(value) else value)

    cls.__init__ = init


stock_launch = Group.replace_autoscaling_group_instances
stock_update = Group.update
stock_calls = {name: getattr(AutoScalingResponse, name) for name in ("create_auto_scaling_group", "update_auto_scaling_group")}


def install(wait_for_hooks):
    HOOKS.wait = wait_for_hooks
    Group.active_instances = lambda self: [s for s in self.instance_states if s.lifecycle_state in ACTIVE]
    Group.replace_autoscaling_group_instances = launch
    Group.set_desired_capacity = set_desired_capacity
    Group.update = update_group
    Backend.delete_auto_scaling_group = delete_group
    Backend.update_attached_target_groups = lambda self, name: sync_targets(self, self.autoscaling_groups[name])
    stock_template = models.InstanceState.launch_template
    models.InstanceState.launch_template = property(lambda self: getattr(self, "template", None) or stock_template.fget(self))
    correct(models.LifecycleHook, role_arn=None, notification_target_arn=None)
    correct(models.FakeScalingPolicy, enabled=True, predictive_scaling_configuration=lambda self: self.predictive_scaling_configuration or None)
    for name, call in vars(Calls).items():
        if not name.startswith("__"):
            setattr(AutoScalingResponse, name, call)
