# A mirror of an image of Docker Hub, for two platforms. When the tag moves
# there, the next plan says so.
resource "registry_image" "nginx" {
  source     = "docker.io/library/nginx:1.27"
  repository = "mirror/nginx"
  tag        = "1.27"
  platforms  = ["linux/amd64", "linux/arm64"]
}
