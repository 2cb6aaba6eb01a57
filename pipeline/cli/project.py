"""`endocrine project`: the Redis read models, apart from a worker, or emptied to be filled anew."""

import asyncio
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline import stopping

if TYPE_CHECKING:
    from pipeline.settings import Settings


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("project")(project)


def project(
    rebuild: Annotated[
        bool,
        typer.Option("--rebuild", help="Delete what was projected and end; a projection that runs fills it again."),
    ] = False,
) -> None:
    """Keep the Redis read models up to date until Ctrl-C. Needs ENDOCRINE_REDIS_URL and ENDOCRINE_BOOTSTRAP."""
    from aiokafka.errors import KafkaError
    from redis.exceptions import RedisError

    from pipeline.projection import ProjectionError
    from pipeline.settings import Settings

    settings = Settings()
    try:
        asyncio.run(_clear(settings) if rebuild else _run(settings))
    except (ProjectionError, ValueError) as error:
        _fail(str(error))
    except RedisError as error:
        _fail(f"no Redis answers at ENDOCRINE_REDIS_URL ({error}); start it, or set another URL")
    except KafkaError as error:
        _fail(f"no Kafka broker answers at {settings.bootstrap} ({error}); start it, or set ENDOCRINE_BOOTSTRAP")


async def _clear(settings: "Settings") -> None:
    from pipeline.projection.store import clear

    deleted = await clear(settings)
    print(f"{deleted} read models deleted; the projection fills them again from the topics, as far back as those reach")


async def _run(settings: "Settings") -> None:
    from pipeline.projection import Projection

    projection = Projection(settings)
    stops: list[asyncio.Task[None]] = []
    with stopping.asked(lambda: stops.append(asyncio.create_task(projection.stop()))):
        print(f"projecting topics {settings.prefix}* at {settings.bootstrap} to Redis; Ctrl-C ends it", file=sys.stderr)
        await projection.run()


def _fail(message: str) -> None:
    print(f"error: {message}", file=sys.stderr)
    raise typer.Exit(1)
