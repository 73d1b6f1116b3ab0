# terraform apply -invoke=action.registry_garbage_collection.now
action "registry_garbage_collection" "now" {
  config {
    delete_untagged = true
  }
}
