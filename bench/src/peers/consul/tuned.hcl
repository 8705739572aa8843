# Consul for speed, by what its makers say of it. The server and the client agent are both started with it.

# All clients of a measurement come from one address, of which Consul takes 200 connections by default.
limits {
  http_max_conns_per_client = 10000
}

# It would ask its makers whether there is a newer Consul.
disable_update_check = true

# The timing of Raft that is recommended in production; the default of 5 is for the smallest machines.
performance {
  raft_multiplier = 1
}

# The log of writes that is recommended for speed; it persists as the default one does.
raft_logstore {
  backend = "wal"
}

# A line for each request is nothing that a busy agent should have.
log_level = "WARN"

# DNS is answered from the agent's cache, and without records that nobody asked for.
dns_config {
  use_cache                         = true
  enable_additional_node_meta_txt   = false
}

# What a registry alone does not need.
connect {
  enabled = false
}
peering {
  enabled = false
}
disable_coordinates = true
