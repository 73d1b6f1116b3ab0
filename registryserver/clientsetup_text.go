package main

// clientSetupText is what client-setup prints. Each section is a script as it stands, so that it can be copied whole;
// the end-to-end tests run those of Docker, podman, containerd and Debian's store with the real programs.
const clientSetupText = `# How clients trust {{host}} and log in to it.
{{about}}
# With a certificate of a public CA, only the login is needed.

## Docker Engine on Linux
# The daemon looks here at every pull and push: nothing is restarted.
sudo mkdir -p "/etc/docker/certs.d/{{host}}"
sudo cp {{ca}} "/etc/docker/certs.d/{{host}}/ca.crt"
docker login {{host}}

## Docker Desktop on macOS
# Then restart Docker Desktop, which copies the file into its virtual machine.
mkdir -p ~/".docker/certs.d/{{host}}"
cp {{ca}} ~/".docker/certs.d/{{host}}/ca.crt"
docker login {{host}}

## Docker Desktop on Windows
# In a PowerShell run as administrator. Then restart Docker Desktop.
Import-Certificate -FilePath {{powershell-ca}} -CertStoreLocation Cert:\LocalMachine\Root
docker login {{host}}

## podman, buildah and skopeo
# Without root: the same under ~/.config/containers/certs.d. On macOS and Windows, first: podman machine ssh
sudo mkdir -p "/etc/containers/certs.d/{{host}}"
sudo cp {{ca}} "/etc/containers/certs.d/{{host}}/ca.crt"
podman login {{host}}

## containerd
# The folder is read at every pull. /etc/containerd/config.toml must name it; restart containerd if you change that:
#   containerd 1:  [plugins."io.containerd.grpc.v1.cri".registry]
#   containerd 2:  [plugins."io.containerd.cri.v1.images".registry]
#                    config_path = "/etc/containerd/certs.d"
# nerdctl looks there by itself; ctr with --hosts-dir /etc/containerd/certs.d --user USER:PASSWORD.
sudo mkdir -p "/etc/containerd/certs.d/{{host}}"
sudo cp {{ca}} "/etc/containerd/certs.d/{{host}}/ca.crt"
sudo tee "/etc/containerd/certs.d/{{host}}/hosts.toml" <<'END'
server = "https://{{host}}"
ca = "/etc/containerd/certs.d/{{host}}/ca.crt"

[host."https://{{host}}"]
  ca = "/etc/containerd/certs.d/{{host}}/ca.crt"
END
nerdctl login {{host}}

## Kubernetes
# On every node: the steps of containerd; with CRI-O, the two sudo lines of podman.
# The pods of a namespace log in with a secret:
kubectl create secret docker-registry registry-login --docker-server={{host}} --docker-username=USER --docker-password=PASSWORD
kubectl patch serviceaccount default --patch '{"imagePullSecrets": [{"name": "registry-login"}]}'

## Kubernetes nodes that nobody logs in to
# A DaemonSet puts the files on every node, new ones too. With CRI-O, the folder of the node is /etc/containers/certs.d.
# Its image must come from another registry. Nodes that need this one before any pod runs take the steps of containerd
# into their launch template or image.
kubectl --namespace kube-system create configmap registry-ca --from-file=ca.crt={{ca}}
kubectl apply --filename - <<'END'
apiVersion: apps/v1
kind: DaemonSet
metadata:
  name: registry-ca
  namespace: kube-system
spec:
  selector:
    matchLabels: {app: registry-ca}
  template:
    metadata:
      labels: {app: registry-ca}
    spec:
      tolerations: [{operator: Exists}]
      containers:
        - name: copy
          image: busybox:stable
          command:
            - sh
            - -c
            - |
              while mkdir -p "/certs.d/$HOST" && cp /ca/ca.crt "/certs.d/$HOST/ca.crt"; do
                ca="ca = \"/etc/containerd/certs.d/$HOST/ca.crt\""
                printf 'server = "https://%s"\n%s\n[host."https://%s"]\n%s\n' "$HOST" "$ca" "$HOST" "$ca" >"/certs.d/$HOST/hosts.toml"
                sleep 600
              done
          env:
            - {name: HOST, value: "{{host}}"}
          volumeMounts:
            - {name: ca, mountPath: /ca}
            - {name: certs, mountPath: /certs.d}
      volumes:
        - name: ca
          configMap: {name: registry-ca}
        - name: certs
          hostPath: {path: /etc/containerd/certs.d, type: DirectoryOrCreate}
END

## Debian and Ubuntu: crane, regctl, oras, helm, cosign, curl, Terraform
# They use the system's store. Programs that run already must be started anew.
sudo cp {{ca}} "/usr/local/share/ca-certificates/{{name}}.crt"
sudo update-ca-certificates

## Fedora and RHEL: the same
sudo cp {{ca}} "/etc/pki/ca-trust/source/anchors/{{name}}.pem"
sudo update-ca-trust

## macOS: the same
sudo security add-trusted-cert -d -r trustRoot -k /Library/Keychains/System.keychain {{ca}}

## One program only: regctl
regctl registry set {{host}} --skip-check --cacert "$(cat {{ca}})"
regctl registry login {{host}}

## One program only: crane, cosign, curl, oras, helm
# On Linux, crane and cosign take the CA from SSL_CERT_FILE={{ca}}; curl from --cacert {{ca}}.
# oras and helm take it from --ca-file {{ca}}, at every command:
oras login --ca-file {{ca}} {{host}}
helm registry login --ca-file {{ca}} {{host}}

## Logging in
# Every program here asks for the user name and password. In scripts: --username USER --password-stdin
# (regctl: --user USER --pass-stdin).
crane auth login {{host}}
regctl registry login {{host}}
oras login {{host}}
helm registry login {{host}}
cosign login {{host}}
`
