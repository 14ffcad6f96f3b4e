"""Checks that the relative links of every Markdown file lead somewhere.

Prints those that don't, with file and line; the exit status says whether there are any.
"""

import pathlib
import re
import subprocess
import sys

LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ +(.*)$", re.MULTILINE)


def anchors(text):
    """The anchors of a page's headings, as GitHub and mdBook name them."""
    return {
        re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-")
        for heading in HEADING.findall(text)
    }


def problem(page, link):
    target, _, anchor = link.partition("#")
    file = page.parent / target if target else page
    if not file.exists():
        return "no such file"
    if anchor and file.suffix == ".md" and anchor not in anchors(file.read_text()):
        return "no such heading"
    return None


pages = subprocess.run(
    ["git", "ls-files", "*.md"], capture_output=True, text=True, check=True
).stdout.split()
failed = False
for page in map(pathlib.Path, pages):
    for number, line in enumerate(page.read_text().splitlines(), 1):
        for link in LINK.findall(line):
            if re.match(r"[a-z]+:", link):
                continue
            if found := problem(page, link):
                print(f"{page}:{number}: {link}: {found}")
                failed = True
sys.exit(failed)
