"""The first accounts of an installation: an admin with a password, and an uploader with a token.

Tokens are stored in files, shell histories and on build servers, so the token's account may only upload.
"""

from koschey.auth.passwords import hash_password
from koschey.auth.tokens import digest_secret, parse_token
from koschey.db.accounts import insert_grant, select_account, upsert_account, upsert_token
from koschey.db.pool import connect
from koschey.errors import UsageError

ADMIN = "admin"
UPLOADER = "uploader"


async def ensure_accounts(database_url: str, *, admin_password: str, upload_token: str) -> None:
    """Create both accounts and the upload token if they do not exist. Only the owner of an existing token changes.

    Earlier versions gave the token to the admin; it moves to the uploader. Raises `UsageError` if it is not a token.
    """
    parts = parse_token(upload_token)
    if parts is None:
        raise UsageError("the upload token is not of the form kos_<id>_<secret>_<checksum>")
    connection = await connect(database_url)
    try:
        existing = await select_account(connection, ADMIN)
        # An existing password stays, and to hash another one takes a quarter of a second of a core.
        has_password = existing is not None and existing.password_hash is not None
        password = None if has_password else await hash_password(admin_password)
        async with connection.transaction():
            admin = await upsert_account(connection, ADMIN, password)
            await insert_grant(connection, admin, "admin")
            uploader = await upsert_account(connection, UPLOADER, None)
            await insert_grant(connection, uploader, "uploader")
            await upsert_token(connection, parts.id, uploader, digest_secret(parts.secret), "made by koschey up")
    finally:
        await connection.close()
