"""What `leaseway demo` shows: sample tasks, a picture and a web server to fetch from."""
