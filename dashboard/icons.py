"""PURE: the icons of all pages as inline SVG. State icons differ by shape, so that they work without colour."""

# ruff: noqa: E501 - a drawing is one line

from __future__ import annotations

# 24 x 24, drawn with the colour of the text around them. Shapes that tell states apart are filled.
_LINES = {
    "overview": "M4 13h6V4H4zM14 20h6v-9h-6zM4 20h6v-3H4zM14 4v3h6V4z",
    "checks": "M3 12h4l3-7 4 14 3-7h4",
    "incidents": "M12 4 2.8 20h18.4zM12 10v4.5M12 17.2v.1",
    "channels": "M18 9a6 6 0 1 0-12 0c0 6-2.5 7.5-2.5 7.5h17S18 15 18 9M10 20a2.2 2.2 0 0 0 4 0",
    "alerts": "m21 3-9.5 9.5M21 3l-6 18-3.5-8.5L3 9z",
    "runs": "M12 21a9 9 0 1 1 0-18 9 9 0 0 1 0 18M12 7v5l3.5 2",
    "mail": "M3 5.5h18v13H3zM3 7l9 6.5L21 7",
    "team": "M9 11a4 4 0 1 0 0-8 4 4 0 0 0 0 8M2 21c0-4 3-6.5 7-6.5s7 2.5 7 6.5M16 3.5a4 4 0 0 1 0 7M18.5 14.8c2.2.9 3.5 3 3.5 6.2",
    "settings": "M4 7h9M17 7h3M4 17h3M11 17h9M15 4.5a2.5 2.5 0 1 0 0 5 2.5 2.5 0 0 0 0-5M9 14.5a2.5 2.5 0 1 0 0 5 2.5 2.5 0 0 0 0-5",
    "key": "M8 19a4.5 4.5 0 1 1 0-9 4.5 4.5 0 0 1 0 9M11.3 11.3 20 2.6M16 6.5l3 3",
    "more": "M5 12h.01M12 12h.01M19 12h.01",
    "plus": "M12 5v14M5 12h14",
    "play": "M7 4.5v15l12-7.5z",
    "stop": "M8 5v14M16 5v14",
    "edit": "M4 20h4L19.5 8.5l-4-4L4 16zM13 7l4 4",
    "trash": "M4 7h16M9 7V4h6v3M6 7l1 13h10l1-13M10 11v5M14 11v5",
    "bolt": "M13 2.5 4.5 13.5H12l-1 8 8.5-11H12z",
    "search": "M11 18a7 7 0 1 0 0-14 7 7 0 0 0 0 14M16 16l5 5",
    "user": "M12 12a4.2 4.2 0 1 0 0-8.4 4.2 4.2 0 0 0 0 8.4M4 21c.4-4.4 3.6-6.8 8-6.8s7.6 2.4 8 6.8",
    "sign-out": "M14 4H5v16h9M10 12h11M17.5 8.5 21 12l-3.5 3.5",
    "sun": "M12 16.5a4.5 4.5 0 1 0 0-9 4.5 4.5 0 0 0 0 9M12 2v2M12 20v2M2 12h2M20 12h2M5 5l1.4 1.4M17.6 17.6 19 19M5 19l1.4-1.4M17.6 6.4 19 5",
    "moon": "M20 14.5A8.5 8.5 0 0 1 9.5 4a8.5 8.5 0 1 0 10.5 10.5",
    "screen": "M3 4.5h18v12H3zM8.5 20.5h7M12 16.5v4",
    "chevron": "m8 10 4 4 4-4",
    "updown": "m8 9 4-4 4 4M8 15l4 4 4-4",
    "arrow-left": "M19 12H5M11 6l-6 6 6 6",
    "arrow-right": "M5 12h14M13 6l6 6-6 6",
    "external": "M14 4h6v6M20 4l-9 9M18 14v6H4V6h6",
    "ok": "m4.5 12.5 5 5 10-11",
    "not-ok": "M6 6l12 12M18 6 6 18",
    "info": "M12 21a9 9 0 1 1 0-18 9 9 0 0 1 0 18M12 11v5.5M12 7.6v.1",
    "clock": "M12 21a9 9 0 1 1 0-18 9 9 0 0 1 0 18M12 7v5h4",
    "webhook": "M12 9.5 8.5 16M12 9.5a3 3 0 1 0-2.8-2M8.3 16.5a3 3 0 1 1-4-2.6M8.5 16.5h7M15.5 16.5a3 3 0 1 0 1.2-2.4M16 14 13 8.5",
    "lock": "M6 11h12v9H6zM8.5 11V8a3.5 3.5 0 0 1 7 0v3",
    "kind-http": "M12 21a9 9 0 1 1 0-18 9 9 0 0 1 0 18M3 12h18M12 3c3 2.6 3.8 5.7 3.8 9S15 18.4 12 21c-3-2.6-3.8-5.7-3.8-9S9 5.6 12 3",
    "kind-tcp": "M9 3v5M15 3v5M6.5 8h11v3.5a5.5 5.5 0 0 1-11 0zM12 17v4",
    "kind-tls": "M6 11h12v9H6zM8.5 11V8a3.5 3.5 0 0 1 7 0v3M12 14.5v2",
    "kind-dns": "M12 4v5M5 20v-5h14v5M12 9v6M9.5 4h5M3 20h4M17 20h4",
    "kind-heartbeat": "M12 20.500C6.5 16.5 3 13 3 9a4.7 4.7 0 0 1 9-2 4.7 4.7 0 0 1 9 2c0 4-3.5 7.5-9 11.500M6.5 11.5h3l1.5-3 2 5 1.5-2h3",
    "mute": "M18 9a6 6 0 0 0-10-4.5M6.2 7.5C6 8 6 8.5 6 9c0 6-2.5 7.5-2.5 7.5h13M10 20a2.2 2.2 0 0 0 4 0M3 3l18 18",
}  # fmt: skip

# One shape each: disc with a check, triangle, square with a cross, half disc, wrench, two bars, dash.
_SHAPES = {
    "state-up": '<circle cx="12" cy="12" r="10"/><path class="icon-cut" d="m7.3 12.4 3.2 3.2 6.2-6.6"/>',
    "state-slow": '<path d="M10.3 3.5 1.6 19a2 2 0 0 0 1.7 3h17.4a2 2 0 0 0 1.7-3L13.7 3.5a2 2 0 0 0-3.4 0"/>'
    '<path class="icon-cut" d="M12 9v5.2M12 17.8v.1"/>',
    "state-down": '<rect x="2" y="2" width="20" height="20" rx="4"/><path class="icon-cut" d="m8 8 8 8m0-8-8 8"/>',
    "state-checking": '<path d="M12 2a10 10 0 0 0 0 20z"/><circle class="icon-line" cx="12" cy="12" r="9"/>',
    "state-maintenance": '<path d="M21.4 6.6 17.8 10l-3.4-.4-.4-3.4L17.5 2.6A6.5 6.5 0 0 0 9 10.8L2.7 17a2.6 2.6 0 0 0 0 3.7l.6.6'
    'a2.6 2.6 0 0 0 3.7 0l6.2-6.3a6.5 6.5 0 0 0 8.2-8.4"/>',
    "state-paused": '<rect x="5" y="4" width="5" height="16" rx="1.5"/><rect x="14" y="4" width="5" height="16" rx="1.5"/>',
    "state-none": '<rect x="3" y="10" width="18" height="4" rx="2"/>',
    "state-new": '<circle class="icon-line" cx="12" cy="12" r="9"/><circle cx="12" cy="12" r="3.5"/>',
}  # fmt: skip

LOGO = (
    '<svg class="logo" viewBox="0 0 32 32" aria-hidden="true" focusable="false">'
    '<rect class="brand-tile" width="32" height="32" rx="8"/>'
    '<path class="brand-bar" d="M6 20h3.4v5H6zM11.5 16h3.4v9h-3.4zM17 11.5h3.4V25H17z'
    'M22.5 7l1.75-1 1.75 1v18h-3.5z"/></svg>'
)


def icon(name: str, extra_class: str = "") -> str:
    """Decorative by design: the word always stands beside it, so readers skip the drawing."""
    css = f"icon {extra_class}".strip()
    frame = f'<svg class="{css}" viewBox="0 0 24 24" aria-hidden="true" focusable="false"'
    if name in _SHAPES:
        return f'{frame} fill="currentColor">{_SHAPES[name]}</svg>'
    width = "3" if name == "more" else "1.8"
    return (
        f'{frame} fill="none" stroke="currentColor" stroke-width="{width}" '
        f'stroke-linecap="round" stroke-linejoin="round"><path d="{_LINES[name]}"/></svg>'
    )
