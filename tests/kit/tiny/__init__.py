"""The smallest project that uses all of the kit: it tells long texts from short ones."""
