"""What monitoring and the service manager are told."""
