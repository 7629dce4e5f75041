"""`penstock`: the entry point. Commands import what they need when they run, so that the command line answers at once."""

import sys
from pathlib import Path

import typer
from dotenv import load_dotenv

from schemas.errors import PenstockError, SettingsError
from streams.cli import screen
from streams.cli.ask import ask
from streams.cli.cache import app as cache
from streams.cli.calibration import calibration
from streams.cli.catalogue import catalogue
from streams.cli.consume import consume
from streams.cli.costs import costs
from streams.cli.demo import demo
from streams.cli.doctor import doctor
from streams.cli.edge import edge
from streams.cli.exits import ExitCode
from streams.cli.explain import explain
from streams.cli.health import health
from streams.cli.init import init
from streams.cli.keys import app as keys
from streams.cli.publish import publish
from streams.cli.reconcile import reconcile
from streams.cli.refit import refit
from streams.cli.simulate import simulate
from streams.cli.top import top
from streams.cli.topics import topics
from streams.cli.up import up
from streams.cli.verify import verify
from streams.cli.worker import worker

_HELP = """AI requests in, answers and exact costs out, over Kafka.

Start everything on this machine with `penstock up`, then `penstock ask "Why is the sky blue?"` in another terminal.
"""
_EPILOG = (
    "Exit codes: 0 done; 1 the answer is no (a request failed, a line was bad, verify is not clean); "
    "2 settings or usage; 3 timed out; 130 interrupted."
)

app = typer.Typer(
    name="penstock",
    help=_HELP,
    epilog=_EPILOG,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)

_RUN, _USE, _LOOK = "Run", "Use", "Look"


def _reflowed(doc: str) -> str:
    r"""A docstring with a line a paragraph: the terminal's width is not ours.

    >>> _reflowed("One\n  two.\n\n  Three.")
    'One two.\n\nThree.'
    """
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in doc.strip().split("\n\n"))


for panel, commands in {
    _RUN: (up, worker, edge, simulate, catalogue, init, demo),
    _USE: (ask, publish, consume, costs),
    _LOOK: (explain, top, topics, health, calibration, doctor, verify, reconcile, refit),
}.items():
    for command in commands:
        app.command(rich_help_panel=panel, help=_reflowed(command.__doc__ or ""))(command)


app.add_typer(cache, name="cache", rich_help_panel=_LOOK)
app.add_typer(keys, name="keys", rich_help_panel=_USE)


def _show_version(value: bool) -> None:  # noqa: FBT001 - typer calls it so
    if value:
        from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415

        try:
            screen.put(f"penstock {version('penstock')}")
        except PackageNotFoundError:
            screen.put("penstock (a checkout that is not installed)")
        raise typer.Exit


@app.callback()
def _penstock(
    *,
    version: bool = typer.Option(False, "--version", is_eager=True, callback=_show_version, help="Show the version and exit."),
) -> None: ...


def main() -> None:
    """Run the command line; exits with a code of `ExitCode`.

    A `.env` file beside us sets what the environment does not: the settings, and the providers' keys too.
    """
    load_dotenv(Path(".env"))
    try:
        app(prog_name="penstock")
    except SettingsError as error:
        screen.say(f"penstock: {error}")
        sys.exit(ExitCode.SETTINGS)
    except PenstockError as error:
        screen.say(f"penstock: {error}")
        sys.exit(ExitCode.NO)


if __name__ == "__main__":
    main()
