"""Ways to a device: a local process, SSH, ADB, QEMU user mode, a browser."""
