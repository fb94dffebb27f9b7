"""Tasks: the plugin interface, discovery, and what all tasks share. The plugins themselves are in ``tasks/``."""
