"""Short codes that people copy or type: ten characters, 50 bits, without characters that look alike.

The alphabet is Crockford's base 32, which has no I, L, O and U. If a person types I, L or O, it means 1, 1 or 0.
"""

import hashlib
import re
import secrets

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
LENGTH = 10
CODE = re.compile(f"[{ALPHABET}]{{{LENGTH}}}")
LOOK_ALIKE = str.maketrans("ILO", "110", " -")


def new_code() -> str:
    """Return a new random code in the form that people see: `7K3QM-2XWDH`."""
    code = "".join(secrets.choice(ALPHABET) for _ in range(LENGTH))
    return f"{code[: LENGTH // 2]}-{code[LENGTH // 2 :]}"


def digest_code(text: str) -> str | None:
    """Return the digest under which a code is stored, or None if the text is not a code.

    Case, spaces and hyphens do not matter.
    """
    code = text.upper().translate(LOOK_ALIKE)
    return hashlib.sha256(code.encode()).hexdigest() if CODE.fullmatch(code) else None
