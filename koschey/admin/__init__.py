"""HTTP for people: the admin panel under `/admin/`. One module and one template per noun.

Nothing else imports this package but the line that registers `blueprint`; without it the index works as before.
"""

# Imported for their routes, before `panel.blueprint` is handed to the application.
from koschey.admin import attention, codes, journal, login, policy, projects, quarantine
from koschey.admin.panel import blueprint

__all__ = ["attention", "blueprint", "codes", "journal", "login", "policy", "projects", "quarantine"]
