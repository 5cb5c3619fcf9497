"""The local cloud: engine launcher, deployer and the `leaseway` command line."""
