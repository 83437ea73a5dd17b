"""A resource that exists only to test the kernel."""
