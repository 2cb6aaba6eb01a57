"""The endpoint over scripted turns, served by uvicorn, and the official client."""

import openai
import pytest
import structlog

from scripted_turns import served, standard_port


@pytest.fixture
def port():
    return standard_port()


@pytest.fixture(autouse=True)
def logged():
    """What the endpoint logs; unset, the library draws tracebacks with all that they hold, for seconds."""
    with structlog.testing.capture_logs() as lines:
        yield lines


@pytest.fixture
def base_url(port):
    with served(port, heartbeat_s=0.02) as url:
        yield url


@pytest.fixture
def client(base_url):
    with openai.OpenAI(base_url=base_url, api_key="good", max_retries=0) as made:
        yield made
