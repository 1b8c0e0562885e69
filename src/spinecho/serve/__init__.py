"""What people meet in the browser: pages served on this machine alone (loopback), one folder for each kind."""
