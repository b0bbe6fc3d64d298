"""Renders werf.yaml: its templates, and what they see of the project."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from pywerf.config.giterminism import Allowed, forbidden
from pywerf.config.template.sprig import SPRIG
from pywerf.config.template.templates import TemplateSet
from pywerf.config.template.values import Func, FunctionError, Struct
from pywerf.config.template.werf_functions import dump, from_yaml, required, to_yaml
from pywerf.errors import GiterminismError, GitError, TemplateError, WerfError

if TYPE_CHECKING:
    from pywerf.build.project.options import ProjectOptions
    from pywerf.build.project.reading import ConfigFiles

__all__ = ["MAIN", "Rendering"]

MAIN = "werfConfig"


class Rendering:
    """One rendering of werf.yaml. `tell` takes what the `*_debug` functions log."""

    def __init__(
        self,
        files: ConfigFiles,
        allowed: Allowed,
        options: ProjectOptions,
        *,
        commit: str,
        committed: tuple[int, int],
        tell: Callable[[str], None],
    ) -> None:
        self._files = files
        self._allowed = allowed
        self._options = options
        self._commit = commit
        self._committed = committed
        self._tell = tell
        self._set = TemplateSet(SPRIG, self._functions())

    def render(self, config: bytes, config_name: str, templates: Mapping[str, bytes]) -> str:
        """The text of werf.yaml. Raises TemplateError, GiterminismError."""
        try:
            for name, text in templates.items():
                self._set.add(name, _decode(text, name))
            self._set.add(MAIN, _decode(config, config_name))
            return self._set.execute(MAIN, self._data())
        except TemplateError as error:
            raise self._explained(error) from error

    def _explained(self, error: TemplateError) -> TemplateError:
        cause: BaseException | None = error
        while cause is not None:
            if isinstance(cause, GiterminismError | GitError):
                return TemplateError(error.message, hint=cause.hint)
            cause = cause.__cause__
        if not self._options.debug_templates:
            return TemplateError(error.message, hint=error.hint or "--debug-templates shows the template's text")
        name = _template_of(error.message)
        text = self._set.text_of(name)
        lines = "\n".join(f"{number:>4} | {line}" for number, line in enumerate(text.split("\n"), 1))
        return TemplateError(f"{error.message}\n\n{name}:\n{lines}" if text else error.message)

    # what templates see

    def _data(self) -> dict[str, Any]:
        seconds, offset = self._committed
        files = self._allowed.file
        date = Struct("git.Date", {"Human": _human(seconds, offset), "Unix": str(seconds)})
        return {
            "Files": Struct(
                "files",
                {},
                {
                    "Get": Func("Get", self._guarded(lambda path: self._get(path)), ("string",)),
                    "Glob": Func("Glob", self._guarded(lambda pattern: self._glob(pattern)), ("string",)),
                    "Exists": Func("Exists", self._guarded(lambda path: self._files.exists(path, files)), ("string",)),
                    "IsDir": Func("IsDir", self._guarded(lambda path: self._files.is_dir(path, files)), ("string",)),
                },
            ),
            "Commit": Struct("git.Commit", {"Hash": self._commit, "Date": date}),
            "Env": self._options.env,
        }

    def _get(self, path: str) -> str:
        return _decode(self._files.read(path, self._allowed.file), path)

    def _glob(self, pattern: str) -> dict[str, str]:
        return {path: self._get(path) for path in self._files.glob(pattern, self._allowed.file)}

    def _guarded(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any) -> Any:
            try:
                return call(*arguments)
            except WerfError as error:
                raise FunctionError(error.message) from error

        return run

    def _functions(self) -> dict[str, Func]:
        return {
            "env": Func("env", self._guarded(self._env), ("string", "string"), variadic=True),
            "required": Func("required", required, ("string", "any")),
            "fromYaml": Func("fromYaml", from_yaml, ("string",)),
            "toYaml": Func("toYaml", to_yaml, ("any",)),
            "include_debug": Func("include_debug", self._include_debug, ("string", "any")),
            "tpl_debug": Func("tpl_debug", self._tpl_debug, ("string", "any")),
            "printf_debug": Func("printf_debug", self._printf_debug, ("string", "any"), variadic=True),
            "dump_debug": Func("dump_debug", self._dump_debug, ("any",)),
        }

    def _env(self, name: str, *default: str) -> str:
        if len(default) > 1:
            raise FunctionError(f"wrong number of args for env: want 1 or 2 got {1 + len(default)}")
        loose = self._options.loose_giterminism
        if not loose and not self._allowed.names(self._allowed.env_variables, name):
            raise forbidden(
                f'env "{name}"',
                "the variable may have another value elsewhere",
                f"config.goTemplateRendering.allowEnvVariables: [{name}]",
            )
        value = os.environ.get(name)
        if value:
            return value
        if default:
            return default[0]
        if value is None and not loose:
            raise FunctionError(f"the environment variable {name} is not set, and there is no default")
        return ""

    # debugging

    def _include_debug(self, name: str, data: Any) -> str:
        return self._debug("include", name, self._set.text_of(name), lambda: self._set.include(name, data))

    def _tpl_debug(self, text: str, data: Any) -> str:
        return self._debug("tpl", "text", text, lambda: self._set.tpl(text, data))

    def _debug(self, function: str, name: str, text: str, run: Callable[[], str]) -> str:
        if not self._options.debug_templates:
            return run()
        self._tell(f"{function} {name}: template:\n{text}")
        result = run()
        self._tell(f"{function} {name}: result:\n{result}")
        return result

    def _printf_debug(self, pattern: str, *values: Any) -> str:
        if self._options.debug_templates:
            from pywerf.config.template.printing import sprintf

            self._tell(sprintf(pattern, *values))
        return ""

    def _dump_debug(self, value: Any) -> str:
        if self._options.debug_templates:
            self._tell(dump(value))
        return ""


def _decode(data: bytes, name: str) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise TemplateError(f"{name} is not text in UTF-8") from error


def _human(seconds: int, offset: int) -> str:
    """A commit's time as Go prints one of a zone without a name: `2024-01-31 12:00:00 +0300 +0300`."""
    sign = "-" if offset < 0 else "+"
    zone = f"{sign}{abs(offset) // 60:02d}{abs(offset) % 60:02d}"
    shown = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(seconds + offset * 60))
    return f"{shown} {zone} {zone}"


def _template_of(message: str) -> str:
    """The name of the template that an error is about."""
    import re

    found = re.findall(r"template: ([^\s:]+):\d+", message)
    return str(found[-1]) if found else MAIN
