variables {
  config = { version = "0.1", http = { addr = ":5000" }, aws = { secrets = { http = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:http" } } }
}

run "shipped_image" {
  assert {
    condition = toset([for f in yamldecode(output.text).write_files : f.path]) == toset([
      "/etc/registry/config.yml", "/usr/local/libexec/registry-boot",
    ])
    error_message = "The image has all but the configuration."
  }
  assert {
    condition     = yamldecode([for f in yamldecode(output.text).write_files : f.content if f.path == "/etc/registry/config.yml"][0]) == var.config
    error_message = "The configuration arrives as it was given."
  }
  assert {
    condition     = strcontains(join("", yamldecode(output.text).write_files[*].content), "this machine image has no server")
    error_message = "An image without the server is told from one with it."
  }
}

run "stock_image" {
  variables {
    install = { bucket = "programs", key = "registryserver", region = "cn-north-1", sha256 = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef" }
    files   = { "/etc/registry/ca.pem" = "PEM" }
  }

  assert {
    condition     = length(yamldecode(output.text).write_files) == 7 && strcontains(output.text, "https://programs.s3.cn-north-1.amazonaws.com.cn/registryserver")
    error_message = "Program and unit are fetched and written."
  }
}

run "elsewhere" {
  variables {
    install = { bucket = "programs", key = "registryserver", region = "us-east-1", endpoint = "http://10.0.0.7:9000", sha256 = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef" }
    volume  = { id = "vol-0123456789abcdef0" }
  }

  assert {
    condition     = strcontains(output.text, "http://10.0.0.7:9000/programs/registryserver") && strcontains(output.text, "Elastic_Block_Store_vol0123456789abcdef0") && strcontains(output.text, "RequiresMountsFor")
    error_message = "Another S3 server is asked by path, and the volume is mounted."
  }
}

run "logs" {
  variables {
    config = { aws = { logs = { group = "/registry/images" } } }
  }

  assert {
    condition     = strcontains(output.text, "systemctl enable --now registry-logs.service")
    error_message = "Logs are shipped from the start of the server on:\n${output.text}"
  }
}

run "failures" {
  variables {
    failures = { bucket = "images", region = "cn-north-1", group = { name = "images", launch_hook = "ready" } }
  }

  assert {
    condition = alltrue([for text in ["https://images.s3.cn-north-1.amazonaws.com.cn", "https://autoscaling.cn-north-1.amazonaws.com.cn/", "LifecycleHookName=ready"] :
    strcontains([for f in yamldecode(output.text).write_files : f.content if f.path == "/usr/local/libexec/registry-failed"][0], text)])
    error_message = "An instance that fails knows whom to tell:\n${output.text}"
  }
}

run "failures_of_a_single_instance" {
  variables {
    failures = { bucket = "images", region = "eu-west-1" }
  }

  assert {
    condition     = strcontains(output.text, "registry-failed") && !strcontains(output.text, "SuspendProcesses")
    error_message = "Without a group there is nobody to tell:\n${output.text}"
  }
}

run "secret" {
  command = plan

  variables {
    config = { http = { secret = "s3cr3t" } }
  }

  expect_failures = [var.config]
}

run "password_deep_down" {
  command = plan

  variables {
    config = { storage = { s3 = { secretKey = "s3cr3t" } } }
  }

  expect_failures = [var.config]
}

run "too_large" {
  command = plan

  variables {
    files = { "/etc/registry/large" = join("", [for n in range(1000) : sha256(n)]) }
  }

  expect_failures = [output.base64]
}

run "checksum_of_something_else" {
  command = plan

  variables {
    install = { bucket = "programs", key = "registryserver", region = "eu-west-1", sha256 = "d41d8cd98f00b204e9800998ecf8427e" }
  }

  expect_failures = [var.install]
}
