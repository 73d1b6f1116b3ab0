# What `make lint` looks for in the modules and in the examples that use them. These rules are part of tflint: it downloads nothing.
# Where a rule is wrong, `# tflint-ignore: RULE` with the reason stands beside the line.
config {
  call_module_type = "none" # each module is looked at by itself
}

plugin "terraform" {
  enabled = true
  preset  = "all"
}
