"""Settings that an operator makes before a process starts. PostgreSQL holds everything that changes while it runs."""

from koschey.settings.loading import NOT_SETTINGS, load_instance, load_settings
from koschey.settings.settings import PREFIX, Settings

__all__ = ["NOT_SETTINGS", "PREFIX", "Settings", "load_instance", "load_settings"]
