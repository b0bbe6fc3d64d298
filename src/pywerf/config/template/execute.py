"""Runs a template's tree on a value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pywerf.config.template import nodes
from pywerf.config.template.functions import BUILTINS
from pywerf.config.template.lexer import line_and_column
from pywerf.config.template.parser import parse
from pywerf.config.template.printing import show, sorted_keys
from pywerf.config.template.values import NO_VALUE, Func, FunctionError, Kind, Struct, go_type, is_true, kind_of
from pywerf.errors import TemplateError

__all__ = ["MissingKey", "Template", "Tree", "parse_template", "parse_trees"]

MissingKey = Literal["default", "error"]

# Templates that call each other: far less than Python's own stack holds.
MAX_CALLS = 60
# What one execution may print, in characters: `range 1000000000` must not fill the memory.
MAX_OUTPUT = 64 << 20


def parse_template(text: str, name: str = "template", functions: Mapping[str, Func] | None = None) -> Template:
    """A template with the given functions beside the usual ones. Raises TemplateError with name and line."""
    known = {**BUILTINS, **(functions or {})}
    return Template(name, known, parse_trees(text, name, known))


class Tree:
    """What is executed under a name: `name` and `text` are those of the template that it stands in."""

    __slots__ = ("name", "nodes", "text")

    def __init__(self, name: str, text: str, nodes_: list[nodes.Node]) -> None:
        self.name = name
        self.text = text
        self.nodes = nodes_

    @property
    def empty(self) -> bool:
        """Whether it prints nothing but white space, and does nothing."""
        return all(isinstance(node, nodes.Text) and not node.text.strip() for node in self.nodes)


def parse_trees(text: str, name: str, functions: Mapping[str, Func]) -> dict[str, Tree]:
    """The trees of a template and of all that it defines, by name. Raises TemplateError."""
    found = parse(text, name, functions.keys() | {"and", "or", "call"})
    return {each: Tree(name, text, body) for each, body in found.items()}


class Template:
    """A template that was parsed. It keeps nothing of an execution: several threads may use it at once."""

    __slots__ = ("functions", "name", "trees")

    def __init__(self, name: str, functions: Mapping[str, Func], trees: Mapping[str, Tree]) -> None:
        self.name = name
        self.functions = functions
        self.trees = trees

    def execute(self, data: Any, *, missing_key: MissingKey = "default") -> str:
        """The text that the template makes of `data`.

        A key that a map has not is `<no value>`, or an error with `missing_key` "error".
        Raises TemplateError, which names the line, the column and the piece of the template.
        """
        data = NO_VALUE if data is None else data
        run = _Execution(self, missing_key, data)
        try:
            run.run(run.tree.nodes, data)
        except RecursionError:
            raise TemplateError(
                f'template: {self.name}: executing "{run.current}": too many templates and blocks in each other'
            ) from None
        return "".join(run.out)


class _Break(Exception):
    pass


class _Continue(Exception):
    pass


class _Execution:
    """One execution of one template (a called template shares the output of its caller)."""

    def __init__(self, template: Template, missing_key: MissingKey, data: Any) -> None:
        self.template = template
        self.tree = template.trees[template.name]
        self.current = template.name
        self.missing_key = missing_key
        self.out: list[str] = []
        self.size = 0
        self.calls = 0
        self.variables: list[tuple[str, Any]] = [("$", data)]
        self.at: nodes.Node = nodes.Text(0, "")  # what is evaluated, or was last

    def error(self, node: nodes.Node, why: str) -> TemplateError:
        line, column = line_and_column(self.tree.text, node.position)
        shown = str(node)
        return TemplateError(
            f'template: {self.tree.name}:{line}:{column}: executing "{self.current}" at <{shown}>: {why}'
        )

    def write(self, text: str, node: nodes.Node) -> None:
        self.size += len(text)
        if self.size > MAX_OUTPUT:
            raise self.error(node, f"the output is larger than {MAX_OUTPUT} characters")
        self.out.append(text)

    # Statements

    def run(self, items: list[nodes.Node], dot: Any) -> None:
        for node in items:
            if isinstance(node, nodes.Text):
                self.write(node.text, node)
            elif isinstance(node, nodes.Action):
                value = self.pipe(node.pipe, dot)
                if not node.pipe.variables:
                    self.write(self.printed(node, value), node)
            elif isinstance(node, nodes.Branch):
                self.branch(node, dot)
            elif isinstance(node, nodes.Control):
                raise _Break if node.text == "break" else _Continue
            elif isinstance(node, nodes.Invoke):
                self.invoke(node, dot)

    def printed(self, node: nodes.Node, value: Any) -> str:
        if value is NO_VALUE:
            return "<no value>"
        if isinstance(value, Func):
            raise self.error(node, "can't print function")
        return show(value)

    def branch(self, node: nodes.Branch, dot: Any) -> None:
        mark = len(self.variables)
        if node.kind == "range":
            self.loop(node, dot)
        else:
            value = self.pipe(node.pipe, dot)
            if is_true(value):
                self.run(node.body, value if node.kind == "with" else dot)
            else:
                self.run(node.otherwise, dot)
        del self.variables[mark:]

    def loop(self, node: nodes.Branch, dot: Any) -> None:
        value = self.pipe(node.pipe, dot)  # the variables are all of it at first, and also when it is empty
        pairs = self.elements(value)
        mark = len(self.variables)
        empty = True
        for key, item in pairs:
            empty = False
            names = node.pipe.variables
            bound = [item] if len(names) == 1 else [key, item]
            for name, part in zip(names, bound, strict=False):
                self.bind(name, part, node.pipe.assign)
            try:
                self.run(node.body, item)
            except _Continue:
                pass
            except _Break:
                break
            finally:
                del self.variables[mark:]
        if empty:
            self.run(node.otherwise, dot)

    def elements(self, value: Any) -> Any:
        if value is NO_VALUE or value is None:
            return ()
        if isinstance(value, list | tuple):
            return enumerate(value)
        if isinstance(value, Mapping):
            return ((key, value[key]) for key in sorted_keys(value))
        if isinstance(value, int) and not isinstance(value, bool):
            return enumerate(range(value))
        raise self.error(self.at, f"range can't iterate over {show(value)}")

    def invoke(self, node: nodes.Invoke, dot: Any) -> None:
        tree = self.template.trees.get(node.name)
        if tree is None:
            raise self.error(node, f'template "{node.name}" not defined')
        if self.calls >= MAX_CALLS:
            raise self.error(node, f"more than {MAX_CALLS} templates in each other")
        data = NO_VALUE if node.pipe is None else self.pipe(node.pipe, dot)
        caller = self.variables, self.current, self.tree
        self.variables, self.current, self.tree = [("$", data)], node.name, tree
        self.calls += 1
        self.run(tree.nodes, data)
        self.calls -= 1
        self.variables, self.current, self.tree = caller

    # Pipelines

    def pipe(self, node: nodes.Pipe, dot: Any) -> Any:
        value: Any = _NOTHING
        self.at = node
        for command in node.commands:
            value = self.command(command, dot, value)
            if value is None:
                # An interface that holds nothing is no value at all, from here on.
                value = NO_VALUE
        for name in node.variables:
            self.bind(name, value, node.assign)
        return value

    def bind(self, name: str, value: Any, assign: bool) -> None:
        if not assign:
            self.variables.append((name, value))
            return
        for n in range(len(self.variables) - 1, -1, -1):
            if self.variables[n][0] == name:
                self.variables[n] = (name, value)
                return
        raise self.error(self.at, f"undefined variable: {name}")

    def variable(self, node: nodes.Variable) -> Any:
        for name, value in reversed(self.variables):
            if name == node.name:
                return value
        raise self.error(node, f"undefined variable: {node.name}")

    def command(self, node: nodes.Command, dot: Any, final: Any) -> Any:
        """The value of a command; `final` is the result of the one before it in the pipeline."""
        first, arguments = node.arguments[0], node.arguments[1:]
        if not isinstance(first, nodes.Pipe):
            self.at = first
        if isinstance(first, nodes.Field):
            return self.fields(first, dot, first.names, arguments, dot, final)
        if isinstance(first, nodes.Chain):
            return self.fields(first, self.value(first.node, dot), first.names, arguments, dot, final)
        if isinstance(first, nodes.Variable) and first.names:
            return self.fields(first, self.variable(first), first.names, arguments, dot, final)
        if isinstance(first, nodes.Identifier):
            return self.function(first, arguments, dot, final, node)
        if arguments or final is not _NOTHING:
            raise self.error(self.at, f"can't give argument to non-function {first}")
        if isinstance(first, nodes.Nil):
            raise self.error(first, "nil is not a command")
        return self.value(first, dot)

    def value(self, node: nodes.Node, dot: Any) -> Any:
        """The value of an operand that has no arguments of its own."""
        self.at = node
        if isinstance(node, nodes.Constant):
            return node.value
        if isinstance(node, nodes.Dot):
            return dot
        if isinstance(node, nodes.Field):
            return self.fields(node, dot, node.names, [], dot, _NOTHING)
        if isinstance(node, nodes.Variable):
            return self.fields(node, self.variable(node), node.names, [], dot, _NOTHING)
        if isinstance(node, nodes.Chain):
            return self.fields(node, self.value(node.node, dot), node.names, [], dot, _NOTHING)
        if isinstance(node, nodes.Pipe):
            return self.pipe(node, dot)
        if isinstance(node, nodes.Identifier):
            return self.function(node, [], dot, _NOTHING, node)
        return None

    def fields(
        self, node: nodes.Node, value: Any, names: tuple[str, ...], arguments: list[nodes.Node], dot: Any, final: Any
    ) -> Any:
        """`value.a.b`, of which only the last one may take arguments."""
        for n, name in enumerate(names):
            last = n == len(names) - 1
            value = self.field(node, value, name, arguments if last else [], dot, final if last else _NOTHING)
        return value

    def field(self, node: nodes.Node, value: Any, name: str, arguments: list[nodes.Node], dot: Any, final: Any) -> Any:
        if value is NO_VALUE:
            if self.missing_key == "error":
                raise self.error(node, f'nil data; no entry for key "{name}"')
            return NO_VALUE
        if isinstance(value, Struct):
            method = value.methods.get(name)
            if method is not None:
                return self.call(node, method, arguments, dot, final)
            found = value.fields.get(name, _NOTHING)
            if found is _NOTHING:
                raise self.error(node, f"can't evaluate field {name} in type {value.type_name}")
        elif isinstance(value, Mapping):
            found = value.get(name, NO_VALUE)
            if found is NO_VALUE and self.missing_key == "error":
                raise self.error(node, f'map has no entry for key "{name}"')
        elif value is None:
            raise self.error(node, f"nil pointer evaluating interface {{}}.{name}")
        else:
            where = self.at if isinstance(node, nodes.Chain) else node
            raise self.error(where, f"can't evaluate field {name} in type {go_type(value)}")
        if arguments or final is not _NOTHING:
            if isinstance(value, Struct):
                raise self.error(node, f"{name} has arguments but cannot be invoked as function")
            raise self.error(node, f"{name} is not a method but has arguments")
        return found

    # Functions

    def function(
        self, node: nodes.Identifier, arguments: list[nodes.Node], dot: Any, final: Any, whole: nodes.Node
    ) -> Any:
        """What a function gives; its own errors name the `whole` command."""
        if node.name in ("and", "or"):
            return self.junction(node, arguments, dot, final)
        if node.name == "call":
            return self.call_value(node, arguments, dot, final, whole)
        return self.call(node, self.template.functions[node.name], arguments, dot, final, whole)

    def junction(self, node: nodes.Identifier, arguments: list[nodes.Node], dot: Any, final: Any) -> Any:
        """`and` and `or`: the value that decides; what comes after it is not evaluated."""
        if not arguments and final is _NOTHING:
            raise self.error(node, f"wrong number of args for {node.name}: want at least 1 got 0")
        value: Any = NO_VALUE
        for argument in arguments:
            value = self.value(argument, dot)
            if is_true(value) == (node.name == "or"):
                return value
        return value if final is _NOTHING else final

    def call_value(
        self, node: nodes.Identifier, arguments: list[nodes.Node], dot: Any, final: Any, whole: nodes.Node
    ) -> Any:
        if not arguments:
            if final is _NOTHING:
                raise self.error(node, "wrong number of args for call: want at least 1 got 0")
            target, final = final, _NOTHING
        else:
            target = self.value(arguments[0], dot)
        if target is None or target is NO_VALUE:
            raise self.error(whole, "error calling call: call of nil")
        if not isinstance(target, Func):
            called = arguments[0] if arguments else show(target)
            raise self.error(whole, f"error calling call: non-function {called} of type {go_type(target)}")
        return self.call(node, target, arguments[1:], dot, final, whole)

    def call(
        self,
        node: nodes.Node,
        function: Func,
        arguments: list[nodes.Node],
        dot: Any,
        final: Any,
        whole: nodes.Node | None = None,
    ) -> Any:
        try:
            function.check_count(len(arguments) + (final is not _NOTHING))
            values = [self.argument(argument, function.kind(n), dot, function) for n, argument in enumerate(arguments)]
            if final is not _NOTHING:
                values.append(self.fit(node, final, function.kind(len(values))))
            return function.call(*values)
        except FunctionError as error:
            text = str(error)
            if text.startswith("wrong number of args"):
                raise self.error(node, text) from error
            raise self.error(whole or node, f"error calling {function.name}: {text}") from error

    def argument(self, node: nodes.Node, kind: Kind, dot: Any, function: Func) -> Any:
        if isinstance(node, nodes.Nil):
            if kind not in ("any", "list", "map", "func"):
                raise self.error(node, f"cannot assign nil to {kind}")
            return None
        if isinstance(node, nodes.Constant) and kind == "float64" and kind_of(node.value) == "int":
            return float(node.value)
        return self.fit(node, self.value(node, dot), kind)

    def fit(self, node: nodes.Node, value: Any, kind: Kind) -> Any:
        """The value as an argument of the given kind."""
        if value is NO_VALUE:
            value = None
        if kind == "any":
            return value
        actual = kind_of(value)
        if actual == kind or (actual == "nil" and kind in ("list", "map", "func")):
            return value
        if actual == "nil":
            raise self.error(node, f"invalid value; expected {kind}")
        raise self.error(node, f"wrong type for value; expected {kind}; got {go_type(value)}")


_NOTHING: Any = object()
