#!/bin/sh
# Starts the server, the last thing at the first boot. An instance on which that fails switches itself off, so that its group starts another one;
# what went wrong is on the console, where AWS keeps it%{ if reported }, and in the bucket%{ endif }.
set -u

%{ if volume != null ~}
# The volume is attached some time after the instance has started. It is known by its id, so that no other disk can be taken for it.
mount_images() {
	for _ in $(seq 150); do
		device=/dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_${replace(volume, "-", "")}
		[ -b "$device" ] || device=/dev/xvdf # on machines without NVMe, which have no other disk of this name
		[ -b "$device" ] && break
		sleep 2
	done
	[ -b "$device" ] || { echo "the volume ${volume} with the images was not attached within five minutes" && return 1; }
	blkid -p "$device" >/dev/null
	case $? in
	0) ;;
	2) mkfs.ext4 -q -L images "$device" || return 1 ;; # nothing is on it yet
	*) echo "whether the volume ${volume} has images on it cannot be found out" && return 1 ;;
	esac
	mkdir -p /var/lib/private/registry && chmod 0700 /var/lib/private
	echo "LABEL=images /var/lib/private/registry ext4 defaults,nofail 0 2" >>/etc/fstab
	mount /var/lib/private/registry
}

%{ endif ~}
said=$( {
%{ if volume != null ~}
	mount_images &&
%{ endif ~}
%{ if install ~}
	/usr/local/libexec/registry-install &&
%{ else ~}
	{ [ -x /usr/local/bin/registryserver ] || { echo "this machine image has no server: give the id of one that has, or image.install" && false; }; } &&
%{ endif ~}
	systemctl daemon-reload &&
%{ if logs ~}
	{ systemctl enable --now registry-logs.service || echo "logs are not shipped"; } &&
%{ endif ~}
	systemctl enable registry.service && systemctl restart registry.service
} 2>&1) && exit 0

said="$said
$(journalctl --unit registry.service --lines 20 --no-pager --output cat)"
{
	echo "registry: the instance could not start the server: $said"
%{ if reported ~}
	timeout 90 /usr/local/libexec/registry-failed "$said" 2>&1
%{ endif ~}
} >/dev/console
sleep 5 # so that the console has it
systemctl poweroff
