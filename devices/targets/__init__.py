"""What a device can run, as data, and what that means for a file."""
