"""Running jobs: claims, leases, progress and outcomes."""
