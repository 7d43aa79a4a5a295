"""What is copied to a device: it runs model files there and streams what it measured."""
