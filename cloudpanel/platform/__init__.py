"""What turns the Django project into a running cloud: set-up, engines, supervisor, clean-up."""
