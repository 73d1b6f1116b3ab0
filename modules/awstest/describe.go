package awstest

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"time"
)

// Member is an instance of an Auto Scaling group.
type Member struct {
	ID       string `xml:"InstanceId"`
	Type     string `xml:"InstanceType"`
	Zone     string `xml:"AvailabilityZone"`
	State    string `xml:"LifecycleState"` // such as Pending:Wait
	Template string `xml:"LaunchTemplate>LaunchTemplateId"`
	Version  string `xml:"LaunchTemplate>Version"`
	Group    string `xml:"-"`
}

func (c Cloud) autoscaling(ctx context.Context, action string, parameters url.Values, answer any) error {
	return c.query(ctx, "autoscaling", "2011-01-01", action, parameters, answer)
}

// Members are the instances of all Auto Scaling groups.
func (c Cloud) Members(ctx context.Context) ([]Member, error) {
	var answer struct {
		Groups []struct {
			Name      string   `xml:"AutoScalingGroupName"`
			Instances []Member `xml:"Instances>member"`
		} `xml:"DescribeAutoScalingGroupsResult>AutoScalingGroups>member"`
	}
	err := c.autoscaling(ctx, "DescribeAutoScalingGroups", nil, &answer)
	var members []Member
	for _, g := range answer.Groups {
		for _, m := range g.Instances {
			m.Group = g.Name
			members = append(members, m)
		}
	}
	return members, err
}

// Refreshes are the states of a group's instance refreshes, the newest first.
func (c Cloud) Refreshes(ctx context.Context, group string) ([]string, error) {
	var answer struct {
		Statuses []string `xml:"DescribeInstanceRefreshesResult>InstanceRefreshes>member>Status"`
	}
	err := c.autoscaling(ctx, "DescribeInstanceRefreshes", url.Values{"AutoScalingGroupName": {group}}, &answer)
	return answer.Statuses, err
}

// abandon completes the hooks that wait for an instance which is off.
func (c Cloud) abandon(ctx context.Context, m Member) error {
	var hooks struct {
		Names []string `xml:"DescribeLifecycleHooksResult>LifecycleHooks>member>LifecycleHookName"`
	}
	if err := c.autoscaling(ctx, "DescribeLifecycleHooks", url.Values{"AutoScalingGroupName": {m.Group}}, &hooks); err != nil {
		return err
	}
	for _, hook := range hooks.Names {
		err := c.autoscaling(ctx, "CompleteLifecycleAction", url.Values{
			"AutoScalingGroupName": {m.Group}, "LifecycleHookName": {hook}, "InstanceId": {m.ID}, "LifecycleActionResult": {"ABANDON"},
		}, nil)
		if err != nil {
			return err
		}
	}
	return nil
}

// place is where an instance of EC2 is.
type place struct {
	Address string `xml:"privateIpAddress"`
	Zone    string `xml:"placement>availabilityZone"`
	Spot    string `xml:"instanceLifecycle"`
}

func (c Cloud) place(ctx context.Context, id string) (place, error) {
	var answer struct {
		Places []place `xml:"reservationSet>item>instancesSet>item"`
	}
	err := c.ec2(ctx, "DescribeInstances", url.Values{"InstanceId.1": {id}}, &answer)
	if err == nil && len(answer.Places) != 1 {
		err = fmt.Errorf("there are %d instances %s", len(answer.Places), id)
	}
	if err != nil {
		return place{}, err
	}
	return answer.Places[0], nil
}

func (c Cloud) iam(ctx context.Context, action string, parameters url.Values, answer any) error {
	return c.query(ctx, "iam", "2010-05-08", action, parameters, answer)
}

// profileRole is the role of an instance profile.
func (c Cloud) profileRole(ctx context.Context, profile string) (string, error) {
	var answer struct {
		Role string `xml:"GetInstanceProfileResult>InstanceProfile>Roles>member>RoleName"`
	}
	err := c.iam(ctx, "GetInstanceProfile", url.Values{"InstanceProfileName": {profile}}, &answer)
	return answer.Role, err
}

// TargetGroup is one, with the listener's view of it.
type TargetGroup struct {
	ARN          string
	Port         int
	Protocol     string
	Health       HealthCheck
	Deregister   time.Duration
	LeastBusy    bool // rather than one after the other
	IdleTimeout  time.Duration
	Listener     string // the ARN of the HTTPS listener that sends everything here
	LoadBalancer string
}

// HealthCheck of a target group.
type HealthCheck struct {
	Path      string `xml:"HealthCheckPath"`
	Protocol  string `xml:"HealthCheckProtocol"`
	Matcher   string `xml:"Matcher>HttpCode"`
	Interval  int    `xml:"HealthCheckIntervalSeconds"`
	Timeout   int    `xml:"HealthCheckTimeoutSeconds"`
	Healthy   int    `xml:"HealthyThresholdCount"`
	Unhealthy int    `xml:"UnhealthyThresholdCount"`
}

func (c Cloud) elb(ctx context.Context, action string, parameters url.Values, answer any) error {
	return c.query(ctx, "elasticloadbalancing", "2015-12-01", action, parameters, answer)
}

// attributes of a load balancer or target group.
type attributes struct {
	Load  []attribute `xml:"DescribeLoadBalancerAttributesResult>Attributes>member"`
	Group []attribute `xml:"DescribeTargetGroupAttributesResult>Attributes>member"`
}

type attribute struct {
	Key   string `xml:"Key"`
	Value string `xml:"Value"`
}

func find(attributes []attribute, key string) string {
	for _, a := range attributes {
		if a.Key == key {
			return a.Value
		}
	}
	return ""
}

// HTTPSTargets is where the first HTTPS listener of any load balancer sends to, or nil while there is none.
func (c Cloud) HTTPSTargets(ctx context.Context) (*TargetGroup, error) {
	var balancers struct {
		ARNs []string `xml:"DescribeLoadBalancersResult>LoadBalancers>member>LoadBalancerArn"`
	}
	if err := c.elb(ctx, "DescribeLoadBalancers", nil, &balancers); err != nil {
		return nil, err
	}
	for _, arn := range balancers.ARNs {
		var listeners struct {
			All []struct {
				ARN      string `xml:"ListenerArn"`
				Protocol string `xml:"Protocol"`
				Target   string `xml:"DefaultActions>member>TargetGroupArn"`
			} `xml:"DescribeListenersResult>Listeners>member"`
		}
		if err := c.elb(ctx, "DescribeListeners", url.Values{"LoadBalancerArn": {arn}}, &listeners); err != nil {
			return nil, err
		}
		for _, l := range listeners.All {
			if l.Protocol == "HTTPS" && l.Target != "" {
				return c.targetGroup(ctx, arn, l.ARN, l.Target)
			}
		}
	}
	return nil, nil
}

func (c Cloud) targetGroup(ctx context.Context, balancer, listener, arn string) (*TargetGroup, error) {
	var groups struct {
		All []struct {
			Port     int    `xml:"Port"`
			Protocol string `xml:"Protocol"`
			HealthCheck
		} `xml:"DescribeTargetGroupsResult>TargetGroups>member"`
	}
	if err := c.elb(ctx, "DescribeTargetGroups", url.Values{"TargetGroupArns.member.1": {arn}}, &groups); err != nil {
		return nil, err
	}
	if len(groups.All) != 1 {
		return nil, fmt.Errorf("there are %d target groups %s", len(groups.All), arn)
	}
	group := groups.All[0]
	var said attributes
	if err := c.elb(ctx, "DescribeTargetGroupAttributes", url.Values{"TargetGroupArn": {arn}}, &said); err != nil {
		return nil, err
	}
	if err := c.elb(ctx, "DescribeLoadBalancerAttributes", url.Values{"LoadBalancerArn": {balancer}}, &said); err != nil {
		return nil, err
	}
	delay, err := strconv.Atoi(find(said.Group, "deregistration_delay.timeout_seconds"))
	if err != nil {
		return nil, fmt.Errorf("the deregistration delay of %s: %w", arn, err)
	}
	idle, err := strconv.Atoi(find(said.Load, "idle_timeout.timeout_seconds"))
	if err != nil {
		return nil, fmt.Errorf("the idle timeout of %s: %w", balancer, err)
	}
	return &TargetGroup{
		ARN: arn, Port: group.Port, Protocol: group.Protocol, Health: group.HealthCheck, Listener: listener, LoadBalancer: balancer,
		Deregister: time.Duration(delay) * time.Second, IdleTimeout: time.Duration(idle) * time.Second,
		LeastBusy: find(said.Group, "load_balancing.algorithm.type") == "least_outstanding_requests",
	}, nil
}

// Targets are the instances that are registered with a target group.
func (c Cloud) Targets(ctx context.Context, group string) ([]string, error) {
	var answer struct {
		IDs []string `xml:"DescribeTargetHealthResult>TargetHealthDescriptions>member>Target>Id"`
	}
	err := c.elb(ctx, "DescribeTargetHealth", url.Values{"TargetGroupArn": {group}}, &answer)
	return answer.IDs, err
}

// firstAddress is one of a load balancer's first subnet.
func (c Cloud) firstAddress(ctx context.Context, balancer string) (net.IP, error) {
	var balancers struct {
		Subnets []string `xml:"DescribeLoadBalancersResult>LoadBalancers>member>AvailabilityZones>member>SubnetId"`
	}
	if err := c.elb(ctx, "DescribeLoadBalancers", url.Values{"LoadBalancerArns.member.1": {balancer}}, &balancers); err != nil {
		return nil, err
	}
	if len(balancers.Subnets) == 0 {
		return nil, fmt.Errorf("the load balancer %s is in no subnet", balancer)
	}
	var subnets struct {
		CIDR string `xml:"subnetSet>item>cidrBlock"`
	}
	if err := c.ec2(ctx, "DescribeSubnets", url.Values{"SubnetId.1": {balancers.Subnets[0]}}, &subnets); err != nil {
		return nil, err
	}
	ip, _, err := net.ParseCIDR(subnets.CIDR)
	if err != nil {
		return nil, err
	}
	ip = ip.To4()
	ip[3] += 250 // far from those that instances get
	return ip, nil
}
