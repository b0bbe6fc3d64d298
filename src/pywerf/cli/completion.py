"""`werf completion`: the script that teaches a shell the commands and flags."""

from __future__ import annotations

import click

from pywerf.cli.flags import Command, flag

__all__ = ["command"]

_SHELLS = ["bash", "zsh", "fish", "powershell"]


@click.command("completion", cls=Command, usage_line=f"[{'|'.join(_SHELLS)}]")
@flag("--shell", type=click.Choice(_SHELLS), default="bash", metavar="SHELL", help="The shell (bash by default).")
@click.argument("shell_name", metavar="[SHELL]", default="", type=click.Choice([*_SHELLS, ""]))
@click.pass_context
def command(ctx: click.Context, shell: str, shell_name: str) -> int:
    """Print a shell's completion script.

    bash: eval "$(werf completion bash)"; zsh: the same; fish: werf completion fish | source

    powershell: werf completion powershell | Out-String | Invoke-Expression
    """
    from click.shell_completion import get_completion_class

    from pywerf.cli.powershell import add_powershell

    add_powershell()
    completer = get_completion_class(shell_name or shell)
    if completer is None:
        raise RuntimeError(f"click has no completion for {shell_name or shell}")
    click.echo(completer(ctx.find_root().command, {}, "werf", "_WERF_COMPLETE").source())
    return 0
