"""Making a command: the shared options on every one, one way to fail, and groups that load when they are used."""

from __future__ import annotations

import functools
import inspect
import os
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import Annotated, Any, ClassVar

import typer
from typer.core import TyperGroup

from trimtab.cli.session import merged
from trimtab.errors import TrimtabError

EXIT_USAGE = 2
EXIT_UNEXPECTED = 70  # EX_SOFTWARE
EXIT_INTERRUPTED = 130  # as after SIGINT
EXIT_PIPE_CLOSED = 141  # as after SIGPIPE
# Typer does not export the class of all usage errors; it is the one that a bad parameter is a kind of.
UsageError: type[Exception] = typer.BadParameter.__mro__[1]

Db = Annotated[
    str | None,
    typer.Option("--db", metavar="URL", help="The database (TRIMTAB_DATABASE_URL, else sqlite:///trimtab.db)."),
]
As = Annotated[
    str | None, typer.Option("--as", metavar="NAME", help="Who acts (TRIMTAB_ACTOR, else the user of the system).")
]
InRole = Annotated[
    str | None,
    typer.Option(
        "--role", metavar="ROLE", help="viewer, reviewer, approver, operator or admin (TRIMTAB_ROLE, else admin)."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="JSON on stdout and nothing else.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show where an unexpected error comes from.")]
# On every command, and before its name too: name -> (annotation, default).
SHARED: Mapping[str, tuple[Any, Any]] = {
    "db": (Db, None),
    "actor": (As, None),
    "role": (InRole, None),
    "json": (Json, False),
    "debug": (Debug, False),
}


def group(help: str) -> typer.Typer:
    """An empty command group."""
    return typer.Typer(help=help, no_args_is_help=True, add_completion=False, rich_markup_mode=None)


def command(parent: typer.Typer, name: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Add a function to a group. It gets a Session as its first argument; the shared options are added to its own."""

    def add(function: Callable[..., None]) -> Callable[..., None]:
        parent.command(name)(with_session(function))
        return function

    return add


def with_session(function: Callable[..., None]) -> Callable[..., None]:
    """`function` without its first parameter, the session, and with the shared options that make one."""
    signature = inspect.signature(function, eval_str=True)
    _, *own = signature.parameters.values()

    @functools.wraps(function)
    def run(ctx: typer.Context, **arguments: Any) -> None:
        given = {name: arguments.pop(name) for name in SHARED}
        session = merged(ctx.find_root().obj, given)
        try:
            function(session, **arguments)
            sys.stdout.flush()
        except BrokenPipeError:
            _forget_stdout()
            raise typer.Exit(EXIT_PIPE_CLOSED) from None

    keyword = inspect.Parameter.KEYWORD_ONLY
    parameters = [
        inspect.Parameter("ctx", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context),
        *(one.replace(kind=keyword) for one in own),
        *(
            inspect.Parameter(name, keyword, annotation=annotation, default=default)
            for name, (annotation, default) in SHARED.items()
        ),
    ]
    run.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {one.name: one.annotation for one in parameters}
    del run.__wrapped__  # or Typer would ask it for its parameters
    return run


def _forget_stdout() -> None:
    """The reader has left: nothing more is written, not even by the interpreter when it ends."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nothing, sys.stdout.fileno())
    except OSError:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - it lives until the process ends


class LazyGroup(TyperGroup):
    """The whole command line: each command's module is imported when it is used, so starting stays quick."""

    sources: ClassVar[Mapping[str, str]] = {}  # command -> "module:attribute"; one that is not installed is not there

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 - Typer's own signature
        return [name for name, source in self.sources.items() if find_spec(source.partition(":")[0]) is not None]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in self.commands and cmd_name in self.list_commands(ctx):
            self.commands[cmd_name] = _load(cmd_name, self.sources[cmd_name])
        return super().get_command(ctx, cmd_name)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args and args[0] not in self.sources:
            for name in self.list_commands(ctx):  # so that a mistyped one can be told what was meant
                self.get_command(ctx, name)
        return super().resolve_command(ctx, args)

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> Any:
        extra["windows_expand_args"] = windows_expand_args
        arguments = list(sys.argv[1:] if args is None else args)

        def inner() -> Any:
            return super(LazyGroup, self).main(
                arguments, prog_name or "trimtab", complete_var, standalone_mode=False, **extra
            )

        if not standalone_mode:
            return inner()
        sys.exit(guarded(inner, arguments))


def _load(name: str, source: str) -> Any:
    module, _, attribute = source.partition(":")
    found = getattr(import_module(module), attribute)
    if isinstance(found, typer.Typer):
        loaded: Any = typer.main.get_group(found)
    else:
        alone = typer.Typer(add_completion=False, rich_markup_mode=None)
        command(alone, name)(found)
        loaded = typer.main.get_command(alone)
    loaded.name = name
    return loaded


def guarded(does: Callable[[], Any], arguments: Sequence[str]) -> int:
    """Run, and turn whatever goes wrong into one line on stderr and an exit code."""
    try:
        code = does()
        return code if isinstance(code, int) else 0
    except TrimtabError as error:
        _report(str(error), error.code, arguments)
        if "--debug" in arguments:
            traceback.print_exc()
        return error.exit_code
    except (KeyboardInterrupt, typer.Abort):
        return EXIT_INTERRUPTED
    except UsageError as error:
        return _usage(error, arguments)
    except Exception as error:  # noqa: BLE001 - the last line of defence: a person gets a sentence, not a traceback
        if "--debug" in arguments:
            traceback.print_exc()
        else:
            text = f"something unexpected happened: {type(error).__name__}: {error}"
            _report(f"{text}; to see where, run it again with --debug", "unexpected", arguments)
        return EXIT_UNEXPECTED


def _usage(error: Any, arguments: Sequence[str]) -> int:
    message = error.format_message()
    if type(error).__name__ == "NoArgsIsHelpError":  # a group without a command: its help is the answer
        sys.stderr.write(f"{message}\n" if message else "")
        return EXIT_USAGE
    context = getattr(error, "ctx", None)
    where = f"; see: {context.command_path} --help" if context is not None else ""
    _report(message.rstrip(".") + where, "usage", arguments)
    return EXIT_USAGE


def _report(text: str, code: str, arguments: Sequence[str]) -> None:
    if "--json" in arguments:
        from trimtab.cli.plain import to_json

        sys.stderr.write(to_json({"error": {"code": code, "message": text}}, indent=None) + "\n")
        return
    from trimtab.cli.output import complain

    complain(text, code)
