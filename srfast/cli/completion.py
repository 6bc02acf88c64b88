"""``srfast completion``."""

from __future__ import annotations

import click


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> None:
    """Print the lines that make SHELL complete the commands, options and choices of srfast.

    \b
    bash  eval "$(srfast completion bash)"        in ~/.bashrc (bash 4.4 or later)
    zsh   eval "$(srfast completion zsh)"         in ~/.zshrc
    fish  srfast completion fish > ~/.config/fish/completions/srfast.fish
    """
    from click.shell_completion import BashComplete, FishComplete, ZshComplete

    from srfast.cli import COMPLETE, group

    # bash's class asks for bash's version by running it, which printing need not.
    kinds = {"bash": BashComplete, "zsh": ZshComplete, "fish": FishComplete}
    made = kinds[shell](group, {}, "srfast", COMPLETE)
    click.echo(made.source_template % made.source_vars())
