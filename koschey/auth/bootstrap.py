"""The first accounts of a new installation."""

from koschey.auth.passwords import hash_password
from koschey.auth.tokens import digest_secret, parse_token
from koschey.db.accounts import insert_grant, insert_token, upsert_account
from koschey.db.pool import connect
from koschey.errors import UsageError

ADMIN = "admin"


async def ensure_accounts(database_url: str, *, admin_password: str, upload_token: str) -> None:
    """Make the admin's account and its upload token exist; what exists is left alone."""
    parts = parse_token(upload_token)
    if parts is None:
        raise UsageError("the upload token is not of the form kos_<id>_<secret>")
    connection = await connect(database_url)
    try:
        async with connection.transaction():
            account = await upsert_account(connection, ADMIN, await hash_password(admin_password))
            await insert_grant(connection, account, "admin")
            await insert_token(connection, parts.id, account, digest_secret(parts.secret), "made by koschey up")
    finally:
        await connection.close()
