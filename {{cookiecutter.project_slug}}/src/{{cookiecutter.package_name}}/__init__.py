"""From a problem statement to a service that answers it."""
