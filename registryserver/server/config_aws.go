package server

// AWSConfig is what belongs to running on machines of AWS. All of it goes by
// the machine's role.
type AWSConfig struct {
	Region      string // of Secrets Manager and the Auto Scaling group; "" is the machine's own
	Secrets     AWSSecretsConfig
	AutoScaling AutoScalingConfig
	// BootReport leaves the reason of a failed start in the storage.
	BootReport bool
	// BootParameter is the parameter of Systems Manager that gets the reason where
	// the storage does not take it; "" is none.
	BootParameter string
	Logs          AWSLogsConfig
}

// AWSSecretsConfig names secrets of Secrets Manager, by name or ARN, in place of
// those of the configuration itself; "" is none.
type AWSSecretsConfig struct {
	HTTP  string // http.secret; the version before it is one of http.previoussecrets
	Admin string // admin.username and admin.password, as JSON
	Redis string // redis.password
}

// AWSLogsConfig is where `registryserver ship-logs` brings the journal.
type AWSLogsConfig struct {
	Group string // of CloudWatch Logs; "" is nowhere
}

// AutoScalingConfig is the group that the machine is one of, and its lifecycle
// hooks; "" is none.
type AutoScalingConfig struct {
	Group         string
	LaunchHook    string // completed when the server is ready
	TerminateHook string // completed when it has drained
}

func (c *AWSConfig) settings() []setting {
	return []setting{
		{"aws.region", asText(&c.Region)},
		{"aws.secrets.http", asText(&c.Secrets.HTTP)},
		{"aws.secrets.admin", asText(&c.Secrets.Admin)},
		{"aws.secrets.redis", asText(&c.Secrets.Redis)},
		{"aws.autoscaling.group", asText(&c.AutoScaling.Group)},
		{"aws.autoscaling.launchhook", asText(&c.AutoScaling.LaunchHook)},
		{"aws.autoscaling.terminatehook", asText(&c.AutoScaling.TerminateHook)},
		{"aws.bootreport", asBool(&c.BootReport)},
		{"aws.bootparameter", asText(&c.BootParameter)},
		{"aws.logs.group", asText(&c.Logs.Group)},
	}
}

// used reports whether anything of AWS is needed.
func (c AWSConfig) used() bool {
	c.Region, c.Logs = "", AWSLogsConfig{} // logs are for another process
	return c != AWSConfig{}
}

func (l *configLoader) finishAWS() {
	c := l.config.AWS
	for _, both := range []struct{ here, there string }{
		{"aws.secrets.http", "http.secret"},
		{"aws.secrets.admin", "admin.password"},
		{"aws.secrets.admin", "admin.passwordfile"},
		{"aws.secrets.admin", "admin.username"},
		{"aws.secrets.redis", "redis.password"},
	} {
		_, here := l.root.lookup(both.here)
		if _, there := l.root.lookup(both.there); here && there {
			l.failAt(both.here, "is written beside %s; write one of them", both.there)
		}
	}
	if c.Secrets.Redis != "" && l.config.Redis == nil {
		l.failAt("aws.secrets.redis", "is the password of a Redis, and there is none; set redis.addrs (REGISTRY_REDIS_ADDRS)")
	}
	if c.AutoScaling.Group == "" && (c.AutoScaling.LaunchHook != "" || c.AutoScaling.TerminateHook != "") {
		l.failAt("aws.autoscaling.group", "is missing; name the group that the hooks are of")
	}
}
