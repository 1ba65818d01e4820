"""HTTP for people: the admin panel under `/admin/`. One module and one template per noun.

Only the line that registers `blueprint` imports this package; the index works without it.
"""

# Imported to register their routes before the application receives `panel.blueprint`.
from koschey.admin import attention, codes, journal, login, policy, projects, quarantine
from koschey.admin.panel import blueprint

__all__ = ["attention", "blueprint", "codes", "journal", "login", "policy", "projects", "quarantine"]
