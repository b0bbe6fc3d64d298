"""Declares commands and their flags as plain data: the one place that says what a command takes.

`direct.py` reads a command line by these declarations itself; `flags.py` makes click's options of them, for help,
completion, and for every command line that is wrong in any way. Nothing here imports click, which takes longer to
load than a cached build to run.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from typing import Any, TypeVar

    F = TypeVar("F", bound=Callable[..., Any])

__all__ = [
    "BOOL",
    "COUNT",
    "SIZE",
    "TEXT",
    "WHOLE",
    "Argument",
    "Choice",
    "Declared",
    "DeclaredGroup",
    "FlagSpec",
    "Kind",
    "argument",
    "declared",
    "declared_group",
    "flag",
    "load_command",
    "switch",
]

_TRUE = frozenset(("1", "t", "true", "y", "yes", "on"))
_FALSE = frozenset(("0", "f", "false", "n", "no", "off"))


class Kind:
    """What the values of a flag are: texts, unless a subclass says otherwise."""

    name = "text"

    def read(self, text: str) -> Any:
        """The value of a text. Raises ValueError with what is wrong about it."""
        return text


class Bool(Kind):
    """1/true/yes and 0/false/no, in any case."""

    name = "boolean"

    def read(self, text: str) -> bool:
        word = text.strip().lower()
        if word in _TRUE or word in _FALSE:
            return word in _TRUE
        raise ValueError(f"{text!r} is neither true nor false")


class Count(Kind):
    """An integer that is not negative."""

    name = "integer range"

    def read(self, text: str) -> int:
        number = int(text)
        if number < 0:
            raise ValueError(f"{number} is not in the range x>=0.")
        return number


class Whole(Kind):
    """An integer."""

    name = "integer"

    def read(self, text: str) -> int:
        try:
            return int(text)
        except ValueError:
            raise ValueError(f"{text!r} is not an integer") from None


class Size(Kind):
    """A size in bytes, with a unit of b, k, m, g or t (powers of 1024), as docker and buildah read it."""

    name = "size"

    def read(self, text: str) -> int:
        word = text.strip().lower()
        digits = word.rstrip("bikmgt")
        unit = word[len(digits) :].replace("ib", "").rstrip("b") or "b"
        if not digits.isdecimal() or unit not in ("b", "k", "m", "g", "t"):
            raise ValueError(f"{text!r} is not a size; write a number and a unit of b, k, m or g")
        return int(digits) << {"b": 0, "k": 10, "m": 20, "g": 30, "t": 40}[unit]


class Choice(Kind):
    """One of some words."""

    name = "choice"

    def __init__(self, words: Sequence[str]) -> None:
        self.words = tuple(words)

    def read(self, text: str) -> str:
        if text in self.words:
            return text
        raise ValueError(f"{text!r} is not one of {', '.join(self.words)}")


TEXT, BOOL, COUNT, SIZE, WHOLE = Kind(), Bool(), Count(), Size(), Whole()


class FlagSpec:
    """One flag. As a decorator it joins the flags of a command's function.

    `names` are its forms, the first of them the one it is known by; `name` is the parameter that it is passed as.
    `type` is a Kind (or a type of click's: such a flag is read by click only). `bare` is the value when the flag
    stands without one (None: it needs a value). `env` are variables that are looked at after its own. `own_scalar`
    false: only `WERF_<FLAG>_*`, since `WERF_<FLAG>` means something else. `not_env` are variables that only look like
    the flag's. `split`: a value may hold several, separated by commas. `shared`: it is not passed to the function but
    kept in the invocation, where the innermost command's value counts. `shown` are click's further attributes of how
    help shows the flag (hidden, show_default).
    """

    __slots__ = (
        "bare",
        "default",
        "env",
        "help",
        "metavar",
        "multiple",
        "name",
        "names",
        "not_env",
        "own_scalar",
        "shared",
        "shown",
        "split",
        "type",
    )

    def __init__(
        self,
        declarations: Sequence[str],
        *,
        type: Any = TEXT,
        multiple: bool = False,
        default: Any = None,
        bare: str | None = None,
        env: Sequence[str] = (),
        own_scalar: bool = True,
        not_env: Sequence[str] = (),
        split: bool = False,
        shared: bool = False,
        metavar: str | None = None,
        help: str | None = None,
        **shown: Any,
    ) -> None:
        self.names = tuple(word for word in declarations if word.startswith("-"))
        given = [word for word in declarations if not word.startswith("-")]
        self.name = given[0] if given else self.long_name.replace("-", "_")
        self.type = type
        self.multiple = multiple
        self.default = default
        self.bare = bare
        self.env = tuple(env)
        self.own_scalar = own_scalar
        self.not_env = tuple(not_env)
        self.split = split
        self.shared = shared
        self.metavar = metavar
        self.help = help
        self.shown = shown

    def __call__(self, function: F) -> F:
        _params(function).append(self)
        return function

    @property
    def long_name(self) -> str:
        """The first long form, without dashes."""
        return next((name for name in self.names if name.startswith("--")), self.names[0]).lstrip("-")

    @property
    def env_name(self) -> str:
        """`WERF_SOME_NAME` for `--some-name`."""
        return "WERF_" + self.long_name.replace("-", "_").upper()

    def from_env(self, environ: Mapping[str, str], others: Sequence[FlagSpec]) -> str | list[str] | None:
        """The value from the variables, a list when the flag is `multiple`; None when there is none.

        An empty variable is as good as unset. `others` are all flags of the command: a variable that is theirs is
        not taken for one of `WERF_<FLAG>_*`.
        """
        names = (self.env_name, *self.env) if self.own_scalar else self.env
        if not self.multiple:
            return next((value for name in names if (value := environ.get(name))), None)
        values = [environ.get(name, "") for name in names]
        prefix = self.env_name + "_"
        mine = [name for name in environ if name.startswith(prefix)]
        if mine:
            known = [other.env_name for other in others if other is not self and other.env_name.startswith(prefix)]
            known.extend(self.not_env)
            for name in sorted(mine):
                if not any(name == other or name.startswith(other + "_") for other in known):
                    values.append(environ[name])
        return [value for value in values if value] or None


class Argument:
    """One word that is no flag, or with `many` all words that are left. `default` None: it must be there; of many

    words at least one, if they are `required`. Messages call it `metavar`. As a decorator it joins a function.
    """

    __slots__ = ("default", "many", "metavar", "name", "required")

    def __init__(
        self,
        name: str,
        default: str | None = None,
        *,
        many: bool = False,
        required: bool = False,
        metavar: str | None = None,
    ) -> None:
        self.name = name
        self.default = default
        self.many = many
        self.required = required
        self.metavar = metavar

    def __call__(self, function: F) -> F:
        _params(function).append(self)
        return function


class Declared:
    """A command: `body(invocation, **values)` returns the exit code; its docstring is the help."""

    def __init__(
        self,
        name: str,
        body: Callable[..., int],
        params: Sequence[FlagSpec | Argument],
        unsupported: Collection[str] = (),
        usage_line: str = "",
        short_help: str | None = None,
    ) -> None:
        self.name = name
        self.body = body
        self.params = tuple(params)
        self.unsupported = frozenset(unsupported)
        self.usage_line = usage_line
        self.short_help = short_help


class DeclaredGroup:
    """A command that has commands. `table` maps their names to (module, one line of help), `aliases` other names
    to those of the table; a module's `command` is loaded when it is called.

    `body(invocation, **values)` prepares the invocation; a text that it returns is printed, and that was all.
    """

    def __init__(
        self,
        name: str,
        body: Callable[..., str | None],
        params: Sequence[FlagSpec],
        table: Mapping[str, tuple[str, str]],
        aliases: Mapping[str, str],
        epilog: str | None = None,
    ) -> None:
        self.name = name
        self.body = body
        self.params = tuple(params)
        self.table = table
        self.aliases = aliases
        self.epilog = epilog


def flag(*declarations: str, **attrs: Any) -> FlagSpec:
    """A flag with a value. Without a default it is "" (or () when it is `multiple`)."""
    if not attrs.get("multiple"):
        attrs.setdefault("default", "")
    return FlagSpec(declarations, **attrs)


def switch(*declarations: str, **attrs: Any) -> FlagSpec:
    """A boolean flag, false by default."""
    return FlagSpec(declarations, **{"default": False, "bare": "true", "type": BOOL, "metavar": "", **attrs})


def argument(name: str, default: str | None = None, **attrs: Any) -> Argument:
    """A word that is no flag; with `many` all that are left, as a tuple."""
    return Argument(name, default, **attrs)


def declared(name: str, **attrs: Any) -> Callable[[Callable[..., int]], Declared]:
    """Make a function with its flags the command `name`; the attributes are those of Declared."""
    return lambda body: Declared(name, body, _params(body)[::-1], **attrs)


def declared_group(
    name: str, table: Mapping[str, tuple[str, str]], aliases: Mapping[str, str] | None = None, epilog: str | None = None
) -> Callable[[Callable[..., str | None]], DeclaredGroup]:
    """Make a function with its flags the group `name`."""
    return lambda body: DeclaredGroup(name, body, _params(body)[::-1], table, aliases or {}, epilog)


def load_command(module: str) -> object:
    """The command of a module: declared, or click's own. Raises IsolationError where the system is not Linux."""
    import importlib
    import sys

    try:
        return importlib.import_module(module).command
    except (ImportError, AttributeError):
        if sys.platform != "linux":
            # Commands on the embedded engine's store need modules, and names of os, that only Unix has.
            from pywerf.isolation.ladder import check_platform

            check_platform(sys.platform)
        raise


def _params(function: Callable[..., Any]) -> list[Any]:
    """The parameters that a function has been given so far, the last one first: where click's decorators keep theirs,

    so that both kinds may stand on one function.
    """
    params: list[Any] = function.__dict__.setdefault("__click_params__", [])
    return params
