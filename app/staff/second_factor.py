"""The second factor: six digits from an authenticator app (TOTP, RFC 6238), each of them good once.

Its secret must be readable to us, so it is kept sealed (`app.staff.seal`): a copy of the database does not have it.
"""

import hmac
from datetime import datetime

import pyotp
import segno

_STEP = 30  # seconds


def new_secret() -> str:
    """A fresh secret, in base32."""
    return pyotp.random_base32()


def matching_step(secret: str, code: str, *, now: datetime, after: int) -> int | None:
    """The time step `code` belongs to; None when it is wrong or not newer than step `after`, the last one used.

    A phone's clock may be one step off either way.
    """
    digits = "".join(code.split())
    current = int(now.timestamp()) // _STEP
    if len(digits) != 6 or not digits.isascii() or not digits.isdigit():
        return None
    totp = pyotp.TOTP(secret)
    near = (current - 1, current, current + 1)
    fitting = [step for step in near if hmac.compare_digest(totp.at(step * _STEP), digits)]
    return next((step for step in fitting if step > after), None)


def picture(secret: str, *, account: str, issuer: str) -> str:
    """The secret as a QR code for an authenticator app: an SVG without scripts or style attributes."""
    address = pyotp.TOTP(secret).provisioning_uri(name=account, issuer_name=issuer)
    return segno.make(address, error="m", micro=False).svg_inline(scale=5, border=3, dark="#000", light="#fff")
