"""trimtab serve, worker: the API and the regular work, in this process, until it is told to end."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from trimtab.cli.session import Session
from trimtab.errors import SettingError

if TYPE_CHECKING:
    from trimtab.bootstrap import Trimtab
    from trimtab.cli.output import Output
    from trimtab.server.run import Address

PORT = 8321


def serve(
    session: Session,
    host: Annotated[str, typer.Option("--host", metavar="HOST", help="Where to listen.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option("--port", metavar="PORT", min=0, max=65535, help="0 takes any that is free.")
    ] = PORT,
    allow_remote: Annotated[
        bool, typer.Option("--allow-remote", help="Let other machines connect; at least one key must exist.")
    ] = False,
    no_jobs: Annotated[bool, typer.Option("--no-jobs", help="Leave the regular work to others.")] = False,
) -> None:
    """Serve the API on a local database, making it where there is none, and run the regular work.

    The first start makes an administrator's key and shows it once.
    """
    from trimtab.jobs import Scheduler
    from trimtab.server.logs import configure
    from trimtab.server.run import listen, resolve, run, worker_name

    address = resolve(host, port)
    with session.open(create=True) as (trimtab, actor):
        check_reachable(trimtab, address, allow_remote=allow_remote)
        with listen(address) as listening:
            configure()
            url = address.url.rpartition(":")[0] + f":{listening.getsockname()[1]}"
            first = trimtab.api_keys.create_first(actor)
            key = first.text if first is not None else None

            def render(out: Output) -> None:
                out.good(f"Trimtab serves {url}/api until Ctrl-C")
                if key is not None:
                    out.line("an administrator's key, shown this once; keep it where secrets are kept:")
                    out.console.print(key, soft_wrap=True)
                else:
                    out.hint("more keys: trimtab keys create NAME ROLE")
                if not address.loopback:
                    out.bad("other machines can connect, and nothing is encrypted here: put a proxy with TLS in front")

            session.show({"url": url, "key": key, "jobs": not no_jobs}, render)
            sys.stdout.flush()
            run(trimtab, listening, scheduler=None if no_jobs else Scheduler(trimtab, worker=worker_name()))


def check_reachable(trimtab: Trimtab, address: Address, *, allow_remote: bool) -> None:
    """Raise SettingError before others could reach what nobody guards."""
    if address.loopback:
        return
    if not allow_remote:
        raise SettingError(
            f"host: {address.host} lets other machines connect; say --allow-remote if that is meant, "
            "and put a proxy with TLS in front"
        )
    if trimtab.api_keys.usable() == 0:
        raise SettingError(
            "host: no key can be used yet, so nobody could be let in; make one first: trimtab keys create"
        )


def worker(session: Session) -> None:
    """Run the regular work on a database without serving it: beside a server with --no-jobs, or many of them."""
    import threading

    from trimtab.core.rights import Right
    from trimtab.jobs import Scheduler
    from trimtab.server.logs import configure
    from trimtab.server.run import ending, worker_name

    configure()
    with session.open() as (trimtab, actor):
        actor.require(Right.RUN_JOBS)
        told = threading.Event()
        with ending(told.set):
            scheduler = Scheduler(trimtab, worker=worker_name())
            scheduler.start()
            session.show({"worker": worker_name()}, lambda out: out.good(f"{worker_name()} works until Ctrl-C"))
            sys.stdout.flush()
            told.wait()
            scheduler.stop()
