"""Pages for people about files that are not served. They contain no script, and escape every name and reason."""

from collections.abc import Sequence

from jinja2 import Environment, StrictUndefined

from koschey.addresses import PROJECT_LIST, REQUESTS, Addresses, held_project, project_page
from koschey.model import State
from koschey.policy.availability import FileAccount, request_command
from koschey.texts import on_page

HEAD = """<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><meta name="robots" content="noindex"><title>{{ title }}</title></head>
<body>
<h1>{{ title }}</h1>
"""
ASK = """<p>To request a release, give a reason:</p>
<pre>{{ command }} --reason WHY --index {{ index }}</pre>
<p>A program sends the same request to <code>{{ requests }}</code>. Reviewers see who requested the release, how
often and why. Their decision takes effect at once.</p>
"""
FILE = (
    HEAD
    + """<dl>
<dt>File</dt><dd><code>{{ account.filename }}</code></dd>
<dt>State</dt><dd>{{ account.state }}</dd>
<dt>Until</dt><dd>{{ until }}</dd>
<dt>Why</dt><dd>{{ account.reason }}</dd>
{% for finding in account.findings %}<dt>Finding</dt><dd>{{ finding }}</dd>
{% endfor %}{% if free %}<dt>Available now</dt><dd>{{ project }} {{ free }}</dd>
{% endif %}</dl>
"""
    + "{% if askable %}"
    + ASK
    + """{% endif %}<p><a href="{{ more }}">All files of {{ project }} that are not served</a></p>
</body>
</html>
"""
)
PROJECT = (
    HEAD + """{% if rows %}<table>
<thead><tr><th>file</th><th>version</th><th>state</th><th>until</th><th>why</th></tr></thead>
<tbody>
{% for account, until in rows %}<tr><td><code>{{ account.filename }}</code></td><td>{{ account.version }}</td>"""
    """<td>{{ account.state }}</td><td>{{ until }}</td><td>{{ account.reason }}</td></tr>
{% endfor %}</tbody>
</table>
"""
    + ASK
    + """{% else %}<p>No file of {{ project }} is held or blocked.</p>
{% endif %}<p><a href="{{ more }}">Available versions of {{ project }}</a></p>
</body>
</html>
"""
)
_environment = Environment(autoescape=True, undefined=StrictUndefined, finalize=on_page)
_file, _project = _environment.from_string(FILE), _environment.from_string(PROJECT)


def render_file(project: str, account: FileAccount, free: str | None, own_addresses: Addresses) -> str:
    """Render the page that says why one file is not served."""
    return _file.render(
        title=f"{project} {account.version} is {account.state}",
        project=project,
        account=account,
        until=_until(account),
        free=free,
        askable=account.state is not State.REMOVED,
        command=request_command(project, account.version),
        more=own_addresses.here(held_project(project)),
        **_links(own_addresses),
    )


def render_project(project: str, accounts: Sequence[FileAccount], own_addresses: Addresses) -> str:
    """Render the list of a project's files that are not served."""
    version = accounts[-1].version if accounts else ""
    return _project.render(
        title=f"Files of {project} that are not served",
        project=project,
        rows=[(account, _until(account)) for account in accounts],
        command=request_command(project, version),
        more=own_addresses.here(project_page(project)),
        **_links(own_addresses),
    )


def _links(own_addresses: Addresses) -> dict[str, str]:
    return {"index": own_addresses.absolute(PROJECT_LIST), "requests": own_addresses.absolute(REQUESTS)}


def _until(account: FileAccount) -> str:
    if account.release_at:
        return f"{account.release_at:%Y-%m-%d %H:%M} UTC"
    return "permanently" if account.state is State.REMOVED else "a reviewer decides"
