package modules

import "github.com/registrykit/terraform-provider-registry/modules/awstest"

// stacks are all that is applied: every example, and every module in the shapes that no example has.
func stacks() []stack {
	return []stack{
		{
			root: "examples/aws-cluster", short: true, images: "images-123456789012-" + awstest.Region,
			variables: func(a *account) map[string]any { return with(here(a), map[string]any{"image": program(a, "v1")}) },
			change: func(a *account, w *awstest.Workspace) {
				w.Variables(with(here(a), map[string]any{"image": program(a, "v2")}))
				replace(w, "main.tf", "  image   = var.image\n", "  image   = var.image\n\n  capacity = { min = 3, max = 6 }\n")
				w.Write("more.tf", anotherUser)
			},
			changes: []string{
				"create registry_user.reader",
				"update module.registry.module.cluster.aws_autoscaling_group.this",
				"update module.registry.module.cluster.aws_iam_role_policy.this", // the new program is another object
				"update module.registry.module.cluster.aws_launch_template.this[\"arm64\"]",
			},
			changed: func(a *account, _ *awstest.Workspace) {
				a.runOnly("v2/arm64", 3)
				a.Scale(a, "images", 5) // which the next plan leaves alone
				a.runOnly("v2/arm64", 5)
			},
		},
		{
			root: "examples/aws-single", short: true, images: "images-123456789012-" + awstest.Region,
			variables: func(a *account) map[string]any {
				return with(here(a), map[string]any{"email": "admin@example.com", "image": oneProgram(a, "v1")})
			},
			change: func(a *account, w *awstest.Workspace) {
				w.Variables(with(here(a), map[string]any{"email": "admin@example.com", "image": oneProgram(a, "v2")}))
				replace(w, "main.tf", "  acme_email       = var.email\n", "  acme_email       = var.email\n  instance_type    = \"t4g.small\"\n")
				w.Write("more.tf", anotherUser)
			},
			changes: []string{
				"create registry_user.reader",
				"delete/create module.single.aws_eip_association.this",
				"delete/create module.single.aws_instance.this",
				"update module.single.aws_cloudwatch_metric_alarm.recover",
				"update module.single.aws_iam_role_policy.this",
			},
			changed: func(a *account, _ *awstest.Workspace) { a.runOnly("v2/arm64", 1) },
		},
		{
			root:      "examples/aws-private",
			variables: func(a *account) map[string]any { return with(here(a), map[string]any{"image": program(a, "v1")}) },
			change: func(a *account, w *awstest.Workspace) {
				w.Variables(with(here(a), map[string]any{"image": program(a, "v2"), "clients": []string{"10.0.0.0/8", "172.16.0.0/12"}}))
			},
			changes: []string{
				"create module.registry.module.load_balancer.aws_vpc_security_group_ingress_rule.http[\"172.16.0.0/12\"]",
				"create module.registry.module.load_balancer.aws_vpc_security_group_ingress_rule.https[\"172.16.0.0/12\"]",
				"update module.registry.module.cluster.aws_autoscaling_group.this",
				"update module.registry.module.cluster.aws_iam_role_policy.this", // the new program is another object
				"update module.registry.module.cluster.aws_launch_template.this[\"arm64\"]",
			},
			changed: func(a *account, _ *awstest.Workspace) { a.runOnly("v2/arm64", 2) },
		},
		{
			root:      "examples/aws-existing-vpc",
			variables: func(a *account) map[string]any { return inDefaultVPC(a, "v1") },
			change: func(a *account, w *awstest.Workspace) {
				w.Variables(inDefaultVPC(a, "v2"))
				replace(w, "main.tf", "max = 10", "max = 12")
			},
			changes: []string{
				"update module.registry.module.cluster.aws_autoscaling_group.this",
				"update module.registry.module.cluster.aws_iam_role_policy.this", // the new program is another object
				"update module.registry.module.cluster.aws_launch_template.this[\"arm64\"]",
			},
			changed: func(a *account, _ *awstest.Workspace) { a.runOnly("v2/arm64", 2) },
		},
		{
			root: "examples/migrate-from-registry2", images: "old-images",
			variables: func(a *account) map[string]any { return migrated(a, oldRegistry(a.T, a.Emulator, a.zone)) },
			change: func(a *account, w *awstest.Workspace) {
				w.Write("htpasswd", oldUsers)
				w.Variables(with(migrated(a, "old-images"), map[string]any{"htpasswd_file": "htpasswd", "pushers": []string{"jenkins"}}))
			},
			changes: []string{"create registry_user.migrated[\"alice\"]", "create registry_user.migrated[\"jenkins\"]"},
		},
		{
			root:      "examples/github-actions/bootstrap",
			variables: func(*account) map[string]any { return pipeline("repository", "example/infrastructure") },
			change: func(_ *account, w *awstest.Workspace) {
				w.Variables(pipeline("repository", "example/registry"))
			},
			changes: []string{"update module.roles.aws_iam_role.this[\"apply\"]", "update module.roles.aws_iam_role.this[\"plan\"]"},
		},
		{
			root:      "examples/gitlab-ci/bootstrap",
			variables: func(*account) map[string]any { return pipeline("project", "example/infrastructure") },
			change: func(_ *account, w *awstest.Workspace) {
				w.Variables(pipeline("project", "example/registry"))
			},
			changes: []string{"update module.roles.aws_iam_role.this[\"apply\"]", "update module.roles.aws_iam_role.this[\"plan\"]"},
		},
		{
			root: "modules/testing/roots/network",
			change: func(_ *account, w *awstest.Workspace) {
				w.Variables(map[string]any{"egress": "endpoints"})
			},
			changes: []string{
				"create module.network.aws_security_group.endpoints[0]",
				"create module.network.aws_vpc_endpoint.interface[\"secretsmanager\"]",
				"create module.network.aws_vpc_endpoint.interface[\"sts\"]",
				"create module.network.aws_vpc_security_group_ingress_rule.endpoints[0]",
				"delete module.network.aws_eip.nat[\"eu-central-1a\"]",
				"delete module.network.aws_nat_gateway.this[\"eu-central-1a\"]",
				"delete module.network.aws_route.nat[\"eu-central-1a\"]",
				"delete module.network.aws_route.nat[\"eu-central-1b\"]",
			},
		},
		{
			root:    "modules/testing/roots/storage",
			change:  func(_ *account, w *awstest.Workspace) { w.Variables(map[string]any{"noncurrent_days": 60}) },
			changes: []string{"update module.storage.aws_s3_bucket_lifecycle_configuration.this"},
		},
		{
			root: "modules/testing/roots/single", keeps: []string{"ec2.snapshots"}, // the last one of the volume with the images
			variables: func(a *account) map[string]any {
				return map[string]any{"zone_id": a.zone, "ami_id": a.images["v1/arm64"]}
			},
			change: func(a *account, w *awstest.Workspace) {
				w.Variables(map[string]any{"zone_id": a.zone, "ami_id": a.images["v2/arm64"], "allowed_cidrs": []string{"198.51.100.7/32"}})
			},
			changes: []string{
				"create module.single.aws_vpc_security_group_ingress_rule.https[\"198.51.100.7/32\"]",
				"delete module.single.aws_vpc_security_group_ingress_rule.https[\"0.0.0.0/0\"]",
				"delete/create module.single.aws_eip_association.this",
				"delete/create module.single.aws_instance.this",
				"delete/create module.single.aws_volume_attachment.images[0]",
				"update module.single.aws_cloudwatch_metric_alarm.recover",
			},
			changed: func(a *account, _ *awstest.Workspace) { a.runOnly("v2/arm64", 1) },
		},
		{
			root: "modules/testing/roots/ci_role",
			change: func(_ *account, w *awstest.Workspace) {
				w.Variables(map[string]any{"plan_subjects": []string{"repo:example/infra:pull_request", "repo:example/infra:ref:refs/heads/main"}})
			},
			changes: []string{"update module.github.aws_iam_role.this[\"plan\"]"},
		},
		{
			root:      "modules/testing/roots/load_balancer",
			variables: func(a *account) map[string]any { return front(a, 2000) },
			change:    func(a *account, w *awstest.Workspace) { w.Variables(front(a, 3000)) },
			changes:   []string{"update module.load_balancer.aws_wafv2_web_acl.this[0]"},
		},
	}
}

const anotherUser = `
ephemeral "registry_password" "reader" {
  provider = registry.setup
}

resource "registry_user" "reader" {
  username            = "reader"
  password_wo         = ephemeral.registry_password.reader.password
  password_wo_version = 1
  policies            = ["read-only"]
}
`

// here are the variables that all examples have.
func here(a *account) map[string]any {
	return map[string]any{"region": awstest.Region, "domain": domain, "zone_id": a.zone}
}

// inDefaultVPC are the variables of an example that is given a VPC.
func inDefaultVPC(a *account, version string) map[string]any {
	vpc, subnets := a.DefaultVPC(a)
	return with(here(a), map[string]any{
		"image": program(a, version), "my_address": "198.51.100.7/32",
		"vpc": map[string]any{"id": vpc, "private_subnet_ids": subnets[:2], "public_subnet_ids": subnets[1:]},
	})
}

// migrated are the variables of the example that takes over a bucket, as it is before S3 has given it anything.
func migrated(a *account, bucket string) map[string]any {
	return with(here(a), map[string]any{
		"image": program(a, "v1"), "bucket": bucket, "bucket_has": map[string]bool{"public_access_block": false, "ownership_controls": false},
	})
}

// pipeline are the variables of what CI needs for a repository, or a project.
func pipeline(kind, name string) map[string]any {
	return map[string]any{"region": awstest.Region, "bucket_arn": "arn:aws:s3:::images-123456789012-" + awstest.Region, kind: name}
}

func front(a *account, limit int) map[string]any {
	vpc, subnets := a.DefaultVPC(a)
	return map[string]any{"zone_id": a.zone, "vpc_id": vpc, "subnet_ids": subnets, "rate_limit": limit}
}

// program is a version of the image for a cluster of arm64.
func program(a *account, version string) map[string]any {
	return map[string]any{
		"ami_ids": map[string]any{"arm64": a.images[version+"/arm64"]},
		"install": map[string]any{"arm64": install(version)},
	}
}

// oneProgram is the same for a single instance.
func oneProgram(a *account, version string) map[string]any {
	return map[string]any{"ami_id": a.images[version+"/arm64"], "install": install(version)}
}

func install(version string) map[string]any {
	return map[string]any{"bucket": "programs", "key": "registryserver-" + version, "sha256": "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae"}
}
