# Consul as it ships: whatever decides its speed is its default. Here is only what a machine needs that has all of its clients.

# All clients of a measurement come from one address, of which Consul takes 200 connections by default.
limits {
  http_max_conns_per_client = 10000
}

# It would ask its makers whether there is a newer Consul.
disable_update_check = true
