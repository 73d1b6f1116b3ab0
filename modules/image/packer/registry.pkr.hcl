# The machine image for those who build theirs with Packer: a stock Debian, the server of a release, checked, and its unit. Prefer modules/image/build
# where you can: it starts no instance, and what it makes is smaller and has no SSH server.
#
#   packer init . && packer build -var server_url=https://… -var server_sha256=… -var region=eu-west-1 .

packer {
  required_plugins {
    amazon = {
      source  = "github.com/hashicorp/amazon"
      version = ">= 1.2.2" # which knows imds_support
    }
  }
}

variable "region" {
  type        = string
  description = "Where the image is made."
}

variable "arch" {
  type        = string
  default     = "amd64"
  description = "amd64 or arm64."
}

variable "server_url" {
  type        = string
  description = "Archive of a release: registryserver_VERSION_linux_ARCH.tar.gz."
}

variable "server_sha256" {
  type        = string
  description = "Its SHA-256, from the SHA256SUMS of the release."
}

variable "name" {
  type        = string
  default     = "registryserver"
  description = "What the name of the image begins with."
}

locals {
  instance_type = var.arch == "arm64" ? "t4g.small" : "t3.small"
  stamp         = formatdate("YYYYMMDDhhmmss", timestamp())
}

source "amazon-ebs" "debian" {
  region        = var.region
  instance_type = local.instance_type
  ssh_username  = "admin"
  ami_name      = "${var.name}-${var.arch}-${local.stamp}"
  ena_support   = true
  imds_support  = "v2.0" # instances of it have version 2 of the metadata service only; how it boots, by UEFI, it has from Debian's image

  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
  }

  launch_block_device_mappings {
    device_name           = "/dev/xvda"
    volume_type           = "gp3"
    volume_size           = 8
    delete_on_termination = true
  }

  source_ami_filter {
    filters = {
      name                = "debian-13-${var.arch}-*"
      root-device-type    = "ebs"
      virtualization-type = "hvm"
    }
    owners      = ["136693071363"] # Debian's; in China and GovCloud give an image of your own
    most_recent = true
  }

  tags = {
    Name = "${var.name}-${var.arch}"
  }
}

build {
  sources = ["source.amazon-ebs.debian"]

  # The same unit that user data and the shipped image have.
  provisioner "file" {
    source      = "${path.root}/../../user_data/templates/registry.service"
    destination = "/tmp/registry.service"
  }

  provisioner "shell" {
    execute_command = "sudo env {{ .Vars }} sh -eu {{ .Path }}"
    environment_vars = [
      "SERVER_URL=${var.server_url}",
      "SERVER_SHA256=${var.server_sha256}",
    ]
    inline = [
      "curl -fsSL --retry 5 -o /tmp/registryserver.tar.gz \"$SERVER_URL\"",
      "echo \"$SERVER_SHA256  /tmp/registryserver.tar.gz\" | sha256sum --check --quiet",
      "tar -xzf /tmp/registryserver.tar.gz -C /tmp registryserver",
      "install -m 0755 /tmp/registryserver /usr/local/bin/registryserver",
      "install -m 0644 /tmp/registry.service /etc/systemd/system/registry.service",
      # Nobody logs in to an instance of it, and no two of them share a key.
      "systemctl disable ssh.service",
      "rm -rf /tmp/registryserver* /tmp/registry.service /etc/ssh/ssh_host_* /home/admin/.ssh/authorized_keys /root/.ssh/authorized_keys",
      "truncate -s 0 /etc/machine-id",
      "cloud-init clean --logs",
    ]
  }
}
