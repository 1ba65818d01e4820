"""What an operator sets before a process starts. What changes while it runs is data, in PostgreSQL."""

from koschey.settings.loading import NOT_SETTINGS, load_instance, load_settings
from koschey.settings.settings import PREFIX, Settings

__all__ = ["NOT_SETTINGS", "PREFIX", "Settings", "load_instance", "load_settings"]
