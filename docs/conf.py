"""How the documentation is built: Markdown in, HTML in site/ out, every warning an error, no network."""

from __future__ import annotations

from importlib.metadata import version as installed_version

project = "Answerback"
project_copyright = "the Answerback authors"
release = version = installed_version("answerback")

extensions = ["myst_parser"]
source_suffix = {".md": "markdown"}
root_doc = "index"
nitpicky = True

# Every heading down to the third level can be linked to: page.md#the-heading.
myst_heading_anchors = 3

html_theme = "furo"
html_title = f"Answerback {release}"
html_copy_source = False
html_show_sphinx = False
pygments_style = "friendly"
pygments_dark_style = "native"
