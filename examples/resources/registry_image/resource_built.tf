# What a build left in a folder: docker buildx build --output type=oci,dest=build/worker,tar=false .
# The image goes for good with the resource, with all its tags.
resource "registry_image" "worker" {
  source     = "oci:${path.module}/build/worker"
  repository = "team/worker"
  tag        = "v1"
  on_destroy = "delete_manifest"
}
