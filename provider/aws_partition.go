package provider

import (
	"slices"
	"strings"
)

// awsPartition is a part of AWS with names of its own.
type awsPartition struct {
	name      string // in ARNs
	dnsSuffix string
	prefix    string // of its regions
}

func awsPartitions() []awsPartition {
	return []awsPartition{
		{"aws-cn", "amazonaws.com.cn", "cn-"},
		{"aws-us-gov", "amazonaws.com", "us-gov-"},
		{"aws-iso", "c2s.ic.gov", "us-iso-"},
		{"aws-iso-b", "sc2s.sgov.gov", "us-isob-"},
		{"aws-iso-e", "cloud.adc-e.uk", "eu-isoe-"},
		{"aws-iso-f", "csp.hci.ic.gov", "us-isof-"},
		{"aws-eusc", "amazonaws.eu", "eusc-"},
		{"aws", "amazonaws.com", ""},
	}
}

// partitionOf is the partition of a region.
func partitionOf(region string) awsPartition {
	all := awsPartitions()
	return all[slices.IndexFunc(all, func(p awsPartition) bool { return strings.HasPrefix(region, p.prefix) })]
}

func partitionNames() []string {
	var names []string
	for _, p := range awsPartitions() {
		names = append(names, p.name)
	}
	return names
}

// bucketARN is the ARN of a bucket.
func bucketARN(partition, bucket string) string { return "arn:" + partition + ":s3:::" + bucket }
