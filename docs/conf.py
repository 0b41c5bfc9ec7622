"""How the documentation is built: Markdown in, HTML in site/ out, every warning an error, no network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib.metadata import version as installed_version

import click
from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from answerback.cli import DOORS, front_door

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


class Commands(SphinxDirective):
    """A table of every command, in the words of its own `--help`, so that the page cannot say anything else."""

    def run(self) -> list[nodes.Node]:
        """Write the table as Markdown, and have it read in its place."""
        lines = StringList(["| command | |", "|---|---|", *_rows()], source="answerback --help")
        table = nodes.container()
        self.state.nested_parse(lines, self.content_offset, table)
        return list(table.children)


def _rows() -> Iterator[str]:
    for name in DOORS:
        command = front_door.get_command(click.Context(front_door), name)
        if command is not None:
            yield from _rows_of(f"answerback {name}", command)


def _rows_of(name: str, command: click.Command) -> Iterator[str]:
    """Yield a row for the command, or one for each command of the group."""
    if not isinstance(command, click.Group) or command.invoke_without_command:
        yield f"| `{name}` | {command.get_short_help_str(limit=200)} |"
    if isinstance(command, click.Group):
        context = click.Context(command)
        for inner in command.list_commands(context):
            found = command.get_command(context, inner)
            if found is not None:
                yield from _rows_of(f"{name} {inner}", found)


def setup(app: Sphinx) -> Mapping[str, bool]:
    """Add the directive."""
    app.add_directive("commands", Commands)
    return {"parallel_read_safe": True}
