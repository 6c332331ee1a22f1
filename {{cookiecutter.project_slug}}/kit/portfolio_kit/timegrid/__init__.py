"""Series on a regular grid of time: files, calendars, requests, and tests of significance."""
