"""What opens model files on a device, and whether its kernels compute what they should."""
