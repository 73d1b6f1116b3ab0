locals {
  # suffix ends the names of AWS's servers; an S3 server that is not AWS has the bucket in the path.
  suffix = { for region in toset(compact([try(var.install.region, null), try(var.failures.region, null)])) : region => startswith(region, "cn-") ? "amazonaws.com.cn" : "amazonaws.com" }
  bucket_url = { for name, place in { install = var.install, failures = var.failures } :
    name => place.endpoint == null ? "https://${place.bucket}.s3.${place.region}.${local.suffix[place.region]}" : "${trimsuffix(place.endpoint, "/")}/${place.bucket}" if place != null
  }

  install = var.install == null ? {} : {
    "/usr/local/libexec/registry-install" = {
      permissions = "0755"
      content = templatefile("${path.module}/templates/install.sh", {
        url    = "${local.bucket_url.install}/${var.install.key}"
        region = var.install.region
        sha256 = var.install.sha256
      })
    }
    "/etc/systemd/system/registry.service" = {
      permissions = "0644"
      content     = file("${path.module}/templates/registry.service")
    }
    "/etc/systemd/system/registry-logs.service" = {
      permissions = "0644"
      content     = file("${path.module}/templates/registry-logs.service")
    }
  }

  failures = var.failures == null ? {} : {
    "/usr/local/libexec/registry-failed" = {
      permissions = "0755"
      content = templatefile("${path.module}/templates/failed.sh", {
        bucket      = local.bucket_url.failures
        prefix      = var.failures.prefix
        region      = var.failures.region
        autoscaling = "https://autoscaling.${var.failures.region}.${local.suffix[var.failures.region]}/"
        group       = try(var.failures.group.name, null)
        hook        = try(var.failures.group.launch_hook, null)
      })
    }
  }

  files = merge(
    { for path, content in var.files : path => { permissions = "0644", content = content } },
    {
      "/etc/registry/config.yml" = { permissions = "0644", content = yamlencode(var.config) }
      "/usr/local/libexec/registry-boot" = {
        permissions = "0755"
        content     = templatefile("${path.module}/templates/boot.sh", { install = var.install != null, reported = var.failures != null, logs = try(var.config.aws.logs.group, null) != null, volume = try(var.volume.id, null) })
      }
    },
    local.install,
    local.failures,
    { for path, file in {
      "/usr/local/libexec/registry-aws" = { permissions = "0644", content = file("${path.module}/templates/aws.sh") }
    } : path => file if var.install != null || var.failures != null },
    # After a restart the server waits for the volume, rather than begin with an empty folder.
    { for path, file in {
      "/etc/systemd/system/registry.service.d/volume.conf" = { permissions = "0644", content = "[Unit]\nRequiresMountsFor=/var/lib/private/registry\n" }
    } : path => file if var.volume != null },
  )

  cloud_config = {
    # Nobody logs in: there is no SSH server in the shipped image, and on a stock one it stays off.
    ssh_deletekeys = true
    disable_root   = true
    users          = []
    write_files    = [for path, file in local.files : merge(file, { path = path, owner = "root:root" })]
    runcmd         = [["/usr/local/libexec/registry-boot"]]
  }

  text = "#cloud-config\n${yamlencode(local.cloud_config)}"
}
