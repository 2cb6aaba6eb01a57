"""`endocrine project`: the Redis read models, apart from a worker, or emptied to be filled anew."""

import asyncio
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from endocrine.pipeline.cli.common import Bootstrap, broker_error, fail, require_acls, settings_of
from endocrine.pipeline.process import stopping

if TYPE_CHECKING:
    from endocrine.pipeline.process.settings import Settings


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("project")(project)


def project(
    rebuild: Annotated[
        bool,
        typer.Option("--rebuild", help="Delete what was projected and end; a projection that runs fills it again."),
    ] = False,
    bootstrap: Bootstrap = None,
) -> None:
    """Keep the Redis read models up to date until Ctrl-C.

    Redis is that of ENDOCRINE_REDIS_URL, else of the local stack. Exit codes: 0 stopped as asked, 1 failed, 2 the
    settings cannot be used.
    """
    from aiokafka.errors import KafkaError
    from redis.exceptions import AuthenticationError, NoPermissionError, RedisError

    from endocrine.pipeline.kafka.connection import refusal
    from endocrine.pipeline.process.logs import set_up_logs
    from endocrine.pipeline.process.seal_keys import KeyFileError
    from endocrine.pipeline.views.redis import ProjectionError
    from endocrine.pipeline.views.redis.store import redis_error

    set_up_logs("ERROR")
    settings = settings_of(bootstrap)
    require_acls(settings, "projector")
    try:
        asyncio.run(_clear(settings) if rebuild else _run(settings))
    except KeyFileError as error:
        fail(str(error))
    except (ProjectionError, ValueError) as error:
        fail(str(error), 1)
    except RedisError as error:
        refused = isinstance(error, AuthenticationError | NoPermissionError)
        fail(redis_error(settings, error), 2 if refused else 1)
    except KafkaError as error:
        fail(broker_error(settings, error), 2 if refusal(settings, error) else 1)


async def _clear(settings: "Settings") -> None:
    from endocrine.pipeline.views.redis.store import clear

    deleted = await clear(settings)
    print(f"{deleted} read models deleted; the projection fills them again from the topics, as far back as those reach")


async def _run(settings: "Settings") -> None:
    from endocrine.pipeline.views.metrics.serve import serve
    from endocrine.pipeline.views.redis import Projection

    projection = Projection(settings)
    metrics = serve(settings, [], None)
    if metrics is not None:
        metrics.roles["projector"] = projection.health
    stops: list[asyncio.Task[None]] = []
    with stopping.asked(lambda: stops.append(asyncio.create_task(projection.stop()))):
        print(f"projecting topics {settings.prefix}* at {settings.bootstrap} to Redis; Ctrl-C ends it", file=sys.stderr)
        await projection.run()
