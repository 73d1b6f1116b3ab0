package main

import "fmt"

// item is a line of a bill.
type item struct {
	what  string
	count string // how it comes about
	month float64
}

// shape is something that a README has a table of: an example, or a module.
type shape struct {
	items []item
	whole bool // a registry, to be compared with ECR; otherwise a part of one
}

// registryEndpoints are the services that module registry makes endpoints for, where there is no way to the internet.
var registryEndpoints = []string{"secretsmanager", "autoscaling", "ssm", "sts", "kms", "logs"}

func shapes() map[string]shape {
	cluster := join(instances(2, "t4g.small", t4gSmallHour), loadBalancer(lcuWithRedirects), addresses(2, "the load balancer, one in each zone"), nat(), secrets(2), monitoring())
	return map[string]shape{
		"aws-cluster":            {whole: true, items: join(cluster, []item{{"Secret of the user ci", "1", secretMonth}})},
		"migrate-from-registry2": {whole: true, items: cluster},
		"aws-private": {whole: true, items: join(
			instances(2, "t4g.small", t4gSmallHour), loadBalancer(lcuThroughServers), endpoints(len(registryEndpoints), 2), secrets(2), key(), monitoring(),
		)},
		"aws-existing-vpc": {whole: true, items: join(
			instances(1, "t4g.medium", t4gMediumHour), spot(1, "t4g.medium", t4gMediumHour), loadBalancer(lcuWithRedirects),
			addresses(2, "the load balancer, one in each zone"), cache(2), secrets(3), monitoring(),
		)},
		"aws-single": {whole: true, items: join(instances(1, "t4g.micro", t4gMicroHour), addresses(1, "the Elastic IP"), secrets(3), alarms(1), logs(1))},

		"network":       {items: join(nat(), endpoints(1, 2))},
		"load_balancer": {items: join(loadBalancer(lcuWithRedirects), addresses(2, "one in each zone, unless internal"), waf())},
		"cluster":       {items: join(instances(2, "t4g.small", t4gSmallHour), alarms(4))},
		"cache":         {items: join(cache(2), secrets(1))},
		"secrets":       {items: secrets(2)},
		"monitoring":    {items: monitoring()},
		"single":        {items: join(instances(1, "t4g.micro", t4gMicroHour), addresses(1, "the Elastic IP"), alarms(1), logs(1))},
		"storage": {items: []item{
			{"S3 storage, 1 TB", fmt.Sprintf("1,000 GB at %s", usd(s3GBMonth, 3)), 1000 * s3GBMonth},
			requests(),
			{"Key of KMS, with `kms = {}`", "1", kmsKeyMonth},
		}},
	}
}

func join(parts ...[]item) []item {
	var all []item
	for _, part := range parts {
		all = append(all, part...)
	}
	return all
}

// rootGB is the size of the disk of an instance.
const rootGB = 8

func instances(n int, kind string, hour float64) []item {
	return []item{
		{"Instances", fmt.Sprintf("%d %s at %s an hour", n, kind, usd(hour, 4)), float64(n) * hour * hoursInMonth},
		{"Their disks", fmt.Sprintf("%d GB of gp3", n*rootGB), float64(n*rootGB) * gp3GBMonth},
	}
}

func spot(n int, kind string, hour float64) []item {
	part := instances(n, kind, hour*spotShare)
	part[0].what, part[0].count = "Spot instances", fmt.Sprintf("%d %s, at about %.0f %% of the price on demand", n, kind, 100*spotShare)
	return part
}

func loadBalancer(units float64) []item {
	return []item{
		{"Load balancer", fmt.Sprintf("%s an hour", usd(albHour, 4)), albHour * hoursInMonth},
		{"Its work", fmt.Sprintf("%g capacity units on average", units), units * lcuHour * hoursInMonth},
	}
}

func addresses(n int, whose string) []item {
	return []item{{"Public IPv4 addresses", fmt.Sprintf("%d, of %s", n, whose), float64(n) * publicIPv4Hour * hoursInMonth}}
}

func nat() []item {
	return []item{
		{"NAT gateway with its address", fmt.Sprintf("1 at %s an hour", usd(natHour+publicIPv4Hour, 3)), (natHour + publicIPv4Hour) * hoursInMonth},
		{"What passes it", fmt.Sprintf("%d GB at %s; images do not", natTrafficGB, usd(natGB, 3)), natTrafficGB * natGB},
	}
}

func endpoints(n, zones int) []item {
	return []item{{"Interface endpoints", fmt.Sprintf("%d in %d zones, and %s a GB", n, zones, usd(endpointGB, 2)), float64(n*zones) * endpointHour * hoursInMonth}}
}

func secrets(n int) []item {
	return []item{{"Secrets", fmt.Sprint(n), float64(n) * secretMonth}}
}

func key() []item {
	return []item{{"Key of KMS", "1; the bucket key saves most requests to it", kmsKeyMonth}}
}

func cache(n int) []item {
	return []item{{"Valkey", fmt.Sprintf("%d cache.t4g.micro at %s an hour", n, usd(valkeyMicroHr, 4)), float64(n) * valkeyMicroHr * hoursInMonth}}
}

func alarms(n int) []item {
	return []item{{"Alarms", fmt.Sprint(n), float64(n) * alarmMonth}}
}

func waf() []item {
	return []item{{"WAF, with `rate_limit`", "1 list with 1 rule", wafACLMonth + wafRuleMonth}}
}

// monitoring is that of module registry with two servers, with the alarms that scaling makes for itself.
func monitoring() []item {
	const servers = 2
	return append([]item{
		{"Alarms", "7, and 4 of scaling", 11 * alarmMonth},
		{"Metrics", "13 of requests to S3, 1 of the log", 14 * metricMonth},
		{"Dashboard", "1; the first three of an account are free", dashboardMonth},
	}, logs(servers)...)
}

func logs(servers float64) []item {
	return []item{{"Logs", fmt.Sprintf("%g GB", servers*logsPerInstanceGB), servers * logsPerInstanceGB * logsGB}}
}

func requests() item {
	return item{
		"Requests to S3", fmt.Sprintf("%s pushes, %s pulls", thousands(pushes), thousands(pulls)),
		pushes*writesPerPush*s3WritesEach + pulls*readsPerPull*s3ReadsEach,
	}
}
