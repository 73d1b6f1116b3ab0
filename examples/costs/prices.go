package main

// What AWS asks for, on demand, in us-east-1, in USD: the list prices as published in 2026. Other regions are up to a third dearer.
const (
	region = "us-east-1"
	asOf   = "2026"

	hoursInMonth = 730

	// https://aws.amazon.com/ec2/pricing/on-demand/ and /ebs/pricing/
	t4gMicroHour   = 0.0084
	t4gSmallHour   = 0.0168
	t4gMediumHour  = 0.0336
	spotShare      = 0.4 // of the price on demand, as a rule; it moves with demand
	gp3GBMonth     = 0.08
	publicIPv4Hour = 0.005
	transferOutGB  = 0.09

	// https://aws.amazon.com/elasticloadbalancing/pricing/
	albHour = 0.0225
	lcuHour = 0.008

	// https://aws.amazon.com/vpc/pricing/ and /privatelink/pricing/
	natHour      = 0.045
	natGB        = 0.045
	endpointHour = 0.01 // in each zone
	endpointGB   = 0.01

	// https://aws.amazon.com/s3/pricing/, the first 50 TB
	s3GBMonth     = 0.023
	s3WritesEach  = 0.005 / 1000
	s3ReadsEach   = 0.0004 / 1000
	ecrGBMonth    = 0.10 // https://aws.amazon.com/ecr/pricing/
	wafACLMonth   = 5.00 // https://aws.amazon.com/waf/pricing/
	wafRuleMonth  = 1.00
	secretMonth   = 0.40   // https://aws.amazon.com/secrets-manager/pricing/
	kmsKeyMonth   = 1.00   // https://aws.amazon.com/kms/pricing/
	valkeyMicroHr = 0.0128 // https://aws.amazon.com/elasticache/pricing/, cache.t4g.micro; Redis is 0.016

	// https://aws.amazon.com/cloudwatch/pricing/
	alarmMonth     = 0.10
	dashboardMonth = 3.00 // the first three of an account are free
	metricMonth    = 0.30
	logsGB         = 0.50
)

// What is assumed of a team's month, beside how much it stores.
const (
	pushes        = 5_000
	writesPerPush = 20
	pulls         = 100_000
	readsPerPull  = 10

	logsPerInstanceGB = 0.5
	natTrafficGB      = 5 // updates and calls of AWS; images go past it, through the gateway of S3
	lcuWithRedirects  = 0.5
	lcuThroughServers = 2.0 // all bytes pass the load balancer: a GB an hour is one
)
