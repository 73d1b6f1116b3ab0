locals {
  endpoint = var.install == null ? null : coalesce(var.install.endpoint, "https://${var.install.bucket}.s3.${var.install.region}.${startswith(try(var.install.region, ""), "cn-") ? "amazonaws.com.cn" : "amazonaws.com"}")

  install = var.install == null ? {} : {
    "/usr/local/libexec/registry-install" = {
      permissions = "0755"
      content = templatefile("${path.module}/templates/install.sh", {
        url    = var.install.endpoint == null ? "${local.endpoint}/${var.install.key}" : "${local.endpoint}/${var.install.bucket}/${var.install.key}"
        region = var.install.region
        sha256 = var.install.sha256
      })
    }
    "/etc/systemd/system/registry.service" = {
      permissions = "0644"
      content     = file("${path.module}/templates/registry.service")
    }
  }

  files = merge(
    { for path, content in var.files : path => { permissions = "0644", content = content } },
    {
      "/etc/registry/config.yml" = { permissions = "0644", content = yamlencode(var.config) }
      "/usr/local/libexec/registry-boot" = {
        permissions = "0755"
        content     = templatefile("${path.module}/templates/boot.sh", { install = var.install != null, volume = try(var.volume.id, null) })
      }
    },
    local.install,
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
