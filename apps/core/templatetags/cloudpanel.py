"""What every page is written with: icons, status words, copy buttons, times, sizes, bars."""

import functools
import math
import re
from datetime import UTC, datetime, timedelta

from django import template
from django.templatetags.static import static
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import mark_safe

register = template.Library()

# The one table of status words. A word not in it is work where it says "-ing", else at rest.
FAMILIES = {
    "ok": "active in-use up enabled done ready reachable",
    "work": "build begun running queued saving verify reboot hard-reboot rebuild resize password migrating",
    "stop": "shutoff stopped paused suspended shelved shelved-offloaded available disabled"
    " deleted deactivated free unused soft-deleted",
    "warn": "verify-resize maintenance degraded rescue reserved partly attention confirm quota pending-delete",
    "err": "error down refused failed killed unknown",
}
_FAMILY = {word: family for family, words in FAMILIES.items() for word in words.split()}
_FAMILY_ICON = {
    "stop": {"icon": "stop-circle"},
    "warn": {"icon": "exclamation-triangle-fill"},
    "err": {"icon": "x-octagon-fill"},
}
_DOT = mark_safe('<span class="dot" aria-hidden="true"></span>')
_ARC = mark_safe(
    '<svg class="spin" viewBox="0 0 16 16" aria-hidden="true"><path d="M8 2a6 6 0 1 1-5.6 3.9" fill="none" '
    'stroke="currentColor" stroke-width="2" stroke-linecap="round"/></svg>'
)


@register.simple_tag
@functools.cache
def icon(name, css=""):
    """The icon from the sprite; `npm run build` puts the names it finds in pages into it."""
    return format_html(
        '<svg class="bi{}{}" aria-hidden="true"><use href="{}#{}"/></svg>',
        " " if css else "",
        css,
        static("vendor/icons.svg"),
        name,
    )


def _key(status) -> str:
    return str(status).strip().lower().replace("_", "-").replace(" ", "-")


@register.filter
def family(status) -> str:
    """ok, work, stop, warn or err: the family of an OpenStack status word in any spelling."""
    key = _key(status)
    if key in _FAMILY:
        return _FAMILY[key]
    parts = key.split("-")
    return "err" if parts[0] == "error" else "work" if any(p.endswith("ing") for p in parts) else "stop"


@register.filter
def word(status) -> str:
    """The status in sentence case: "VERIFY_RESIZE" and "verify-resize" are "Verify resize"."""
    text = re.sub(r"[-_]+", " ", str(status)).strip()
    text = text.lower() if text.isupper() else text
    return text[:1].upper() + text[1:]


@register.simple_tag
def st(status, text="", pill=False, only=False, as_family=""):
    """Icon, word and colour of a status. `only` leaves the word to the ear, `text` replaces it."""
    kind = as_family or family(status)
    mark = _DOT if kind == "ok" else _ARC if kind == "work" else icon(_FAMILY_ICON[kind]["icon"])
    shown = text or word(status)
    words = format_html('<span class="visually-hidden">{}</span>', shown) if only else shown
    css = f"st st-{kind}{' st-pill' if pill else ''}{' only' if only else ''}"
    return format_html('<span class="{}">{}{}</span>', css, mark, words)


@register.simple_tag
def copy(value, label="", shown=None, mono=True):
    """The value with a button that copies it. `shown`: a shorter text, or "" for the button alone."""
    text = value if shown is None else shown
    words = format_html('<span class="{}">{}</span>', "mono" if mono else "", text) if text else ""
    return format_html(
        '<span class="copy">{}<button type="button" class="icon-btn" data-copy="{}" aria-label="Copy {}">{}</button></span>',
        words,
        value,
        label or value,
        icon("copy"),
    )


# --- times: static/js/times.js writes the same words and keeps them up to date --------------------------


def _seconds_since(moment) -> float:
    return max(0.0, (timezone.now() - moment).total_seconds())


def span(seconds: float) -> str:
    """One unit: "9 s", "12 min", "6 h", "212 d", "1.4 y"."""
    if seconds < 60:
        return f"{int(seconds)} s"
    if seconds < 3600:
        return f"{int(seconds // 60)} min"
    if seconds < 86400:
        return f"{int(seconds // 3600)} h"
    days = int(seconds // 86400)
    return f"{days} d" if days < 365 else f"{days / 365:.1f} y"


def span_2(seconds: float) -> str:
    """Two units from a day on: "3 d 4 h"."""
    days, hours = int(seconds // 86400), int(seconds % 86400 // 3600)
    return f"{days} d {hours} h" if 1 <= days < 365 and hours else span(seconds)


def _when(moment) -> str:
    seconds = _seconds_since(moment)
    if seconds < 86400:
        return span(seconds)
    if seconds < 2 * 86400:
        return "yesterday"
    return f"{moment.day} {moment:%b, %H:%M}"


@register.simple_tag
def ago(moment, style="when"):
    """A time that keeps itself up to date. Styles: when ("2 min", "24 Nov, 09:29"), age, up (two units), clock."""
    if not moment:
        return mark_safe('<span class="t3">-</span>')
    if isinstance(moment, str):
        moment = datetime.fromisoformat(moment)
    if timezone.is_naive(moment):
        moment = moment.replace(tzinfo=UTC)
    if style == "clock":
        today = _seconds_since(moment) < 86400
        text = f"{moment:%H:%M:%S}" if today else f"{moment.day} {moment:%b, %H:%M}"
    else:
        seconds = _seconds_since(moment)
        text = {"age": span, "up": span_2}[style](seconds) if style != "when" else _when(moment)
    iso = moment.isoformat(timespec="seconds")
    return format_html(
        '<time datetime="{}" data-time="{}" title="{}">{}</time>',
        iso,
        style,
        f"{moment:%d %b %Y, %H:%M:%S} UTC",
        text,
    )


@register.filter
def seconds(value) -> str:
    """ "4.1 s", "1 min 12 s"; a number of seconds or a timedelta."""
    if value is None or value == "":
        return ""
    total = value.total_seconds() if isinstance(value, timedelta) else float(value)
    return f"{total:.1f} s" if total < 60 else f"{int(total // 60)} min {int(total % 60)} s"


# --- sizes ---------------------------------------------------------------------------------------------


def _number(value: float) -> str:
    return f"{value:.1f}".rstrip("0").rstrip(".") if value < 100 else f"{value:.0f}"


@register.filter
def mib(value) -> str:
    """MiB for people: "512 MiB", "2 GiB"."""
    if value is None or value == "":
        return "-"
    value = float(value)
    return f"{_number(value / 1024)} GiB" if value >= 1024 else f"{_number(value)} MiB"


@register.filter
def gib(value) -> str:
    """GiB for people: "20 GiB", "1.5 TiB"."""
    if value is None or value == "":
        return "-"
    value = float(value)
    return f"{_number(value / 1024)} TiB" if value >= 1024 else f"{_number(value)} GiB"


@register.filter
def size(value) -> str:
    """Bytes for people."""
    if value is None or value == "":
        return "-"
    value = float(value)
    step = min(4, int(math.log(value, 1024))) if value >= 1 else 0
    return f"{_number(value / 1024**step)} {('B', 'KiB', 'MiB', 'GiB', 'TiB')[step]}"


@register.filter
def in_unit(value, unit) -> str:
    """A count of `unit`: MiB and GiB are scaled, others are as they are."""
    return mib(value) if unit == "MiB" else gib(value) if unit == "GiB" else f"{value} {unit}".strip()


@register.simple_tag
def quota_bar(used, limit, add=0, label="", thin=False):
    """Used in grey, what this adds in petrol, amber over 85 %, red when it does not fit. -1 is no limit."""
    used, limit, add = float(used or 0), float(limit), float(add or 0)
    whole = limit if limit > 0 else max(used + add, 1)
    unlimited = limit < 0
    share, more = min(100, used / whole * 100), min(100, add / whole * 100)
    if unlimited:
        share = more = 0
    over = not unlimited and used + add > limit
    css = "e" if over and not add else "w" if share > 85 else "u"
    spoken = format_html(' role="img" aria-label="{}"', label) if label else mark_safe(' aria-hidden="true"')
    return format_html(
        '<svg class="bar{}"{}><rect class="{}" x="0%" width="{}%" height="100%"/>'
        '<rect class="{}" x="{}%" width="{}%" height="100%"/></svg>',
        " thin" if thin else "",
        spoken,
        css,
        round(share, 1),
        "e" if over else "a",
        round(share, 1),
        round(min(more, 100 - share), 1),
    )


@register.simple_tag
def segments(done, total, part=0):
    """The small bar beside a working status: `done` of `total` steps, and `part` percent of the next."""
    cells = []
    for i in range(int(total)):
        cells.append((" d" if i < int(done) else "", i * (70 / int(total)), 70 / int(total) - 2))
    if part and int(done) < int(total):
        cells.append((" d", int(done) * (70 / int(total)), (70 / int(total) - 2) * float(part) / 100))
    rects = format_html_join(
        "",
        '<rect class="s{}" x="{}" width="{}" height="4" rx="1"/>',
        ((css, f"{x:.1f}", f"{w:.1f}") for css, x, w in cells),
    )
    return format_html('<svg class="seg-p" viewBox="0 0 68 4" aria-hidden="true">{}</svg>', rects)


# --- small helpers for templates ---------------------------------------------------------------------


@register.filter
def same(value, other) -> bool:
    """Equal as text: a form's "7f3..." and a row's UUID."""
    return str(value) == str(other)


@register.filter
def among(value, values) -> bool:
    """True where `value` is, as text, one of `values` (a list, or one value)."""
    if values is None:
        return False
    many = values if isinstance(values, list | tuple | set) else [values]
    return str(value) in {str(v) for v in many}


@register.filter
def initials(name) -> str:
    """Two letters for a person: "Mara Lindqvist" is ML, "demo" is DE."""
    parts = re.split(r"[\s._-]+", str(name).strip())
    letters = "".join(p[0] for p in parts[:2]) if len(parts) > 1 else str(name)[:2]
    return letters.upper()


@register.inclusion_tag("components/sort_head.html", takes_context=True)
def sort_head(context, key, label, css=""):
    """A table head that sorts by `key`; `sort` in the context is the present order, "-" before it descending."""
    present = context.get("sort") or ""
    up, down = present == key, present == f"-{key}"
    return {
        "request": context.get("request"),
        "label": label,
        "css": css,
        "next": f"-{key}" if up else key,
        "direction": "ascending" if up else "descending" if down else "",
    }


@register.simple_tag
def widget(field, **attrs):
    """The form field's control in our dress, tied to its hint and its error by id."""
    kind = getattr(field.field.widget, "input_type", "")
    css = (
        "form-check-input"
        if kind in ("checkbox", "radio")
        else "form-select"
        if kind == "select"
        else "form-control"
    )
    described = [f"{field.auto_id}_helptext"] if field.help_text else []
    if field.errors:
        described.append(f"{field.auto_id}_error")
        css += " is-invalid"
        attrs["aria-invalid"] = "true"
    if described:
        attrs["aria-describedby"] = " ".join(described)
    own = field.field.widget.attrs.get("class", "")
    attrs = {name.replace("_", "-"): value for name, value in attrs.items() if value not in (None, "")}
    return field.as_widget(attrs={**attrs, "class": f"{css} {own}".strip()})


@register.filter
def is_check(field) -> bool:
    return getattr(field.field.widget, "input_type", "") == "checkbox"


@register.filter
def words(text) -> list[str]:
    return str(text).split()


@register.filter
def cut_hyphens(text) -> str:
    return str(text).replace("-", " ")
