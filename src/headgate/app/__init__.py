"""What people see: the private port with metrics now, the web app on top of it."""
