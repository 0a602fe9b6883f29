"""Completion in a shell: the scripts, and what they ask for at each press of TAB.

The scripts run the command with `_RECONCILER_COMPLETE` set and the words typed so far, and get a line for each answer:
`plain,VALUE`, `partial,VALUE` (more is to follow, so no space), `file,` or `dir,`, with a description behind a tab.
Values are inserted quoted: a name in a manifest is text, whatever characters it has.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Final

import click
from click.shell_completion import CompletionItem, ShellComplete, split_arg_string

if TYPE_CHECKING:
    from reconciler.manifest.names import Names

VARIABLE: Final = "_RECONCILER_COMPLETE"
_DEFAULT_PATHS = ("manifests",)

_BASH = r"""# reconciler completion for bash 4.4 or newer: source <(reconciler completion bash)
%(complete_func)s() {
    local line kind value word=${COMP_WORDS[COMP_CWORD]}
    COMPREPLY=()
    while IFS= read -r line; do
        kind=${line%%%%,*} value=${line#*,}
        value=${value%%%%$'\t'*}
        case $kind in
            file) compopt -o default; continue ;;
            dir) compopt -o dirnames; continue ;;
            partial) compopt -o nospace ;;
        esac
        if [[ $word != [\'\"]* ]]; then
            printf -v value %%q "$value"
        elif [[ $value == *[\'\"\\\$\`\!]* ]]; then
            continue  # would mean something else between quotes
        fi
        COMPREPLY+=("$value")
    done < <(COMP_LINE=${COMP_LINE:0:COMP_POINT} COMP_WORD=$word COMP_BREAKS=$COMP_WORDBREAKS \
        %(complete_var)s=bash_complete "$1" 2>/dev/null)
}
complete -o nosort -F %(complete_func)s %(prog_name)s
"""

_ZSH = r"""#compdef %(prog_name)s
# reconciler completion for zsh: source <(reconciler completion zsh), after compinit
%(complete_func)s() {
    local line kind value
    local -a plain partial shown
    while IFS= read -r line; do
        kind=${line%%%%,*} value=${line#*,}
        case $kind in
            file) _files; continue ;;
            dir) _files -/; continue ;;
            partial) partial+=("${value%%%%$'\t'*}"); continue ;;
        esac
        plain+=("${value%%%%$'\t'*}")
        shown+=("${value/$'\t'/  -- }")
    done < <(COMP_WORDS="${(pj:\n:)${(@Q)words[1,CURRENT-1]}}" COMP_WORD="${(Q)PREFIX}" \
        %(complete_var)s=zsh_complete ${(Q)words[1]} 2>/dev/null)
    (( $#partial )) && compadd -S '' -a partial
    (( $#plain )) && compadd -l -d shown -a plain
}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
    %(complete_func)s "$@"
else
    compdef %(complete_func)s %(prog_name)s
fi
"""

_FISH = r"""# reconciler completion for fish: reconciler completion fish | source
function %(complete_func)s
    set -l words (commandline -opc)
    set -lx COMP_WORDS (string join \n -- $words | string collect)
    set -lx COMP_WORD (commandline -ct)
    set -lx %(complete_var)s fish_complete
    for line in ($words[1] 2>/dev/null)
        set -l parts (string split -m 1 , -- $line)
        switch $parts[1]
            case file
                __fish_complete_path (commandline -ct)
            case dir
                __fish_complete_directories (commandline -ct)
            case '*'
                echo $parts[2]
        end
    end
end
complete --no-files --command %(prog_name)s --arguments "(%(complete_func)s)"
"""


class _Shell(ShellComplete):
    """What is common to the shells: answers are whole words, unless a shell takes less."""

    def get_completion_args(self) -> tuple[list[str], str]:
        """The words before the one that is typed, and that one, without quotes."""
        return os.environ["COMP_WORDS"].splitlines()[1:], _unquoted(os.environ["COMP_WORD"])

    def complete(self) -> str:
        """A line for each answer."""
        args, typed = self.get_completion_args()
        option = typed[: typed.index("=") + 1] if typed.startswith("--") and "=" in typed else ""
        before = len(self.cut(typed))
        lines = []
        for item in self.get_completions(args, typed):
            value = item.value if item.type != "plain" else f"{option}{item.value}"[before:]
            kind = "partial" if item.type == "plain" and value.endswith("=") else item.type
            lines.append(f"{kind},{value}" + (f"\t{item.help}" if item.help else ""))
        return "\n".join(lines)

    def cut(self, typed: str) -> str:  # noqa: ARG002 - for subclasses
        """What the shell keeps of the word that is typed."""
        return ""


class _Bash(_Shell):
    name = "bash"
    source_template = _BASH

    def get_completion_args(self) -> tuple[list[str], str]:
        """Bash splits words at `=` and `:`, so they are taken from the line."""
        line = os.environ["COMP_LINE"]
        words = split_arg_string(line)
        typed = words.pop() if len(words) > 1 and not line.endswith((" ", "\t")) else ""
        return words[1:], typed

    def cut(self, typed: str) -> str:
        """Bash replaces only what follows the last `=` or `:`."""
        word = os.environ["COMP_WORD"]
        replaced = "" if word and all(char in os.environ["COMP_BREAKS"] for char in word) else _unquoted(word)
        return typed.removesuffix(replaced) if typed.endswith(replaced) else ""


class _Zsh(_Shell):
    name = "zsh"
    source_template = _ZSH


class _Fish(_Shell):
    name = "fish"
    source_template = _FISH


SHELLS: Final[dict[str, type[_Shell]]] = {shell.name: shell for shell in (_Bash, _Zsh, _Fish)}


def script(cli: click.Command, shell: str) -> str:
    """The completion script of a shell."""
    return SHELLS[shell](cli, {}, "reconciler", VARIABLE).source()


def answer(cli: click.Command, instruction: str, obj: object) -> str:
    """The answers to what a script asks. Whatever goes wrong, nothing is said amid a line that somebody types."""
    shell = SHELLS.get(instruction.removesuffix("_complete"))
    try:
        return shell(cli, {"obj": obj}, "reconciler", VARIABLE).complete() if shell else ""
    except Exception:  # noqa: BLE001 - there is nobody to tell
        return ""


def _unquoted(word: str) -> str:
    return next(iter(split_arg_string(word)), "")


def completions(*kinds: str) -> Callable[[click.Context, click.Parameter, str], list[CompletionItem[str]]]:
    """The names in the manifests of the command line that begin like what is typed, for `shell_complete`.

    With one kind the name, with several `KIND=NAME`.
    """

    def offer(ctx: click.Context, _: click.Parameter, typed: str) -> list[CompletionItem[str]]:
        if len(kinds) == 1:
            return _items(getattr(_names(ctx), f"{kinds[0]}s"), typed)
        kind, is_chosen, name = typed.partition("=")
        if not is_chosen:
            return _items((f"{kind}=" for kind in kinds), typed)
        found = getattr(_names(ctx), f"{kind}s") if kind in kinds else ()
        return [CompletionItem(f"{kind}={item.value}") for item in _items(found, name)]

    return offer


def _names(ctx: click.Context) -> Names:
    """The names in the files that the command line has so far.

    Where the last option still lacks its value, click leaves the arguments unparsed.
    """
    from reconciler.manifest.names import names_in

    given: dict[str, Any] = ctx.params
    others = sum(isinstance(param, click.Argument) and param.nargs == 1 for param in ctx.command.params)
    paths = given.get("paths") or ctx.args[others:] or list(filter(None, [given.get("source")]))
    return names_in(paths or _DEFAULT_PATHS)


def _items(names: Iterable[str], typed: str) -> list[CompletionItem[str]]:
    return [CompletionItem(name) for name in sorted(names) if name.startswith(typed)]
