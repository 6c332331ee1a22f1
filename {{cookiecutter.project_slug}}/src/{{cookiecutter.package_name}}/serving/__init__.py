"""The API's routes and its page."""
