"""Settings, entry points and the platform of the CloudPanel project; its services are in `apps`."""
