"""Reads a post's time: ISO 8601 or epoch (s, ms, µs, ns) into UTC; a time without a zone is refused."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from typing import Any

FIRST_YEAR, LAST_YEAR = 1990, 2100

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_OFFSET = re.compile(r"([+-])(\d\d):?(\d\d)")
_NUMBER = re.compile(r"[+-]?\d{9,19}(\.\d*)?")


def zone_of(name: str | None) -> tzinfo | None:
    """A time zone by its name or offset; None stays None. An unknown name raises ValueError.

    >>> zone_of("+09:00"), zone_of("Europe/Berlin").key
    (datetime.timezone(datetime.timedelta(seconds=32400)), 'Europe/Berlin')
    """
    if name is None:
        return None
    if name.upper() in ("Z", "UTC", "GMT"):
        return UTC
    if offset := _OFFSET.fullmatch(name):
        sign, hours, minutes = offset.groups()
        if int(hours) < 24 and int(minutes) < 60:
            return timezone((1 if sign == "+" else -1) * timedelta(hours=int(hours), minutes=int(minutes)))
    from zoneinfo import ZoneInfo

    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ValueError(f"--zone {name!r} is no time zone; write e.g. Europe/Berlin, +02:00 or UTC") from None


def moment(value: Any, zone: tzinfo | None = None) -> datetime | None:
    """A time in UTC, or None where none is given; ``zone`` holds for times that state none.

    Epoch numbers are told apart by their size. Of a local time that occurs twice (clocks set back) the first is
    taken; one that never occurs (clocks set forward) is refused, and so are years outside 1990 to 2100.

    >>> moment("2025-03-02T08:41:00+01:00").isoformat(), moment(1740901260000).isoformat()
    ('2025-03-02T07:41:00+00:00', '2025-03-02T07:41:00+00:00')
    """
    if isinstance(value, str):
        value = value.strip()
    if value is None or value == "" or value != value:
        return None
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        value = float(value) if "." in value else int(value)
    if isinstance(value, bool):
        raise ValueError(f"created_at: {value} is no time")
    if isinstance(value, int | float):
        return _from_epoch(value)
    if isinstance(value, str):
        value = _from_iso(value)
    elif isinstance(value, date) and not isinstance(value, datetime):
        value = datetime.combine(value, time())
    if not isinstance(value, datetime):
        raise ValueError(f"created_at: {str(value)[:40]!r} is no time; write ISO 8601, e.g. 2025-03-02T07:41:00Z")
    return _in_utc(value, zone)


def _from_epoch(number: float) -> datetime:
    size = abs(number)
    scale = next((s for limit, s in ((1e11, 1), (1e14, 10**3), (1e17, 10**6), (1e19, 10**9)) if size < limit), 0)
    if scale == 0:
        raise ValueError("created_at: the number is no time; write seconds since 1970 or ISO 8601")
    micros = number * 10**6 // scale
    moment = _EPOCH + timedelta(microseconds=int(micros)) if abs(micros) < 5e15 else None
    if moment is None or not FIRST_YEAR <= moment.year <= LAST_YEAR:
        raise ValueError(f"created_at: {number} is outside the years {FIRST_YEAR} to {LAST_YEAR}")
    return moment


def _from_iso(text: str) -> datetime:
    plain = re.sub(r"^(\d{4})/(\d\d)/(\d\d)", r"\1-\2-\3", text[:64])
    plain = re.sub(r"\s*(UTC|GMT|z)$", "Z", plain)
    # A leap second has no place in datetime; it counts as the second before it.
    plain = re.sub(r"(T|\s)(\d\d:\d\d):60", r"\1\2:59", plain)
    try:
        return datetime.fromisoformat(plain)
    except ValueError:
        raise ValueError(f"created_at: {text[:40]!r} is no time; write ISO 8601, e.g. 2025-03-02T07:41:00Z") from None


def _in_utc(moment: datetime, zone: tzinfo | None) -> datetime:
    stated = moment.isoformat()
    if not FIRST_YEAR - 1 <= moment.year <= LAST_YEAR + 1:
        raise ValueError(f"created_at: {stated} is outside the years {FIRST_YEAR} to {LAST_YEAR}")
    if moment.tzinfo is None and zone is None:
        said = f"created_at: {stated} has no time zone"
        raise ValueError(f"{said}; write {stated}Z, or import it with --zone Europe/Berlin")
    there = (moment if moment.tzinfo else moment.replace(tzinfo=zone)).astimezone(UTC)
    if moment.tzinfo is None and there.astimezone(zone).replace(tzinfo=None) != moment:
        raise ValueError(f"created_at: {stated} does not exist in {zone} (clocks set forward)")
    if not FIRST_YEAR <= there.year <= LAST_YEAR:
        raise ValueError(f"created_at: {stated} is outside the years {FIRST_YEAR} to {LAST_YEAR}")
    return there
