"""What `leaseway monitor` starts and shows: its nodes, and a live table of what they do."""
