"""Completion for PowerShell, which click has not: the script, and the words that it asks for."""

from __future__ import annotations

import os

from click.shell_completion import CompletionItem, ShellComplete, add_completion_class

__all__ = ["PowerShellComplete", "add_powershell"]

# $commandAst ends at the last word: a cursor behind a blank begins an empty one. PowerShell leaves out an empty
# argument of a native command, therefore everything goes through variables.
_SCRIPT = """\
Register-ArgumentCompleter -Native -CommandName %(prog_name)s -ScriptBlock {
    param($wordToComplete, $commandAst, $cursorPosition)
    $words = @($commandAst.CommandElements | Where-Object { $_.Extent.StartOffset -lt $cursorPosition } |
        ForEach-Object { $_.Extent.Text })
    if ($wordToComplete -eq '') { $words += '' }
    $before = $env:COMP_WORDS
    $env:COMP_WORDS = $words -join "`n"
    $env:%(complete_var)s = 'powershell_complete'
    try {
        & %(prog_name)s | ForEach-Object {
            $value, $help = $_ -split "`t", 2
            if (-not $help) { $help = $value }
            [System.Management.Automation.CompletionResult]::new($value, $value, 'ParameterValue', $help)
        }
    } finally {
        $env:COMP_WORDS = $before
        Remove-Item Env:%(complete_var)s
    }
}
"""


class PowerShellComplete(ShellComplete):
    """The words so far come a line each in COMP_WORDS, the last of them is to be completed."""

    name = "powershell"
    source_template = _SCRIPT

    def get_completion_args(self) -> tuple[list[str], str]:
        words = os.environ.get("COMP_WORDS", "").split("\n")
        return words[1:-1], words[-1] if len(words) > 1 else ""

    def format_completion(self, item: CompletionItem) -> str:
        return f"{item.value}\t{item.help}" if item.help else str(item.value)


def add_powershell() -> None:
    """Make click know it. Idempotent."""
    add_completion_class(PowerShellComplete)
