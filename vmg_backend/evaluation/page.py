"""What all our pages have in common: one HTML file that needs no other, in one style."""

from __future__ import annotations

from html import escape

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>
body {{ font: 15px/1.5 system-ui, sans-serif; color: #222; background: #fff; max-width: 1240px; margin: 2em auto;
  padding: 0 1em; }}
h1 {{ font-size: 1.5em; }}
svg {{ width: 100%; height: auto; display: block; }}
table {{ border-collapse: collapse; font-variant-numeric: tabular-nums; }}
th, td {{ padding: .2em .8em; text-align: right; border-bottom: 1px solid #ddd; white-space: nowrap; }}
{style}
</style>
</head>
<body>
{body}
</body>
</html>
"""


def page(title: str, style: str, body: str) -> str:
    """A page: its title as plain text, rules of its own, and what it shows as HTML."""
    return _PAGE.format(title=escape(title), style=style.strip(), body=body.strip())
