"""A share of the devices: always the same ones, by the hash of their ids with a salt."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from decimal import Decimal
from fractions import Fraction

from reconciler.model.state import DeviceId

_MOST = b"\xff" * 33  # above every hash


def within_percent(device_ids: Iterable[DeviceId], percent: Decimal, salt: str) -> Iterable[DeviceId]:
    """The devices whose hash with the salt is below a percentage: always the same ones, and more as it grows."""
    limit = limit_of(percent)
    return device_ids if limit is None else hashes_of(device_ids, salt, below=limit)


def limit_of(percent: Decimal) -> bytes | None:
    """The hash below which a percentage keeps devices; None if it keeps all."""
    threshold = Fraction(percent) * 2**64 / 100
    # A hash h is kept when h < threshold; for whole numbers that is h < ceil(threshold), compared as 8 bytes.
    return None if threshold >= 2**64 else (-(-threshold.numerator // threshold.denominator)).to_bytes(8, "big")


def hashes_of(device_ids: Iterable[DeviceId], salt: str, *, below: bytes = _MOST) -> dict[DeviceId, bytes]:
    """The hash of each device with a salt, by which `percent` picks and by which devices take turns.

    `below`: leave out the others; a limit (`limit_of`) is compared with the first 8 bytes.
    """
    salted = hashlib.sha256(f"{salt}\0".encode())
    hashes = {}
    for one in device_ids:
        own = salted.copy()
        own.update(one.encode())
        if (hashed := own.digest()) < below:
            hashes[one] = hashed
    return hashes
