"""Credentials of Faust's consumer: what all clients of ours are given (kafka.connection), as Faust takes it."""

from faust import auth

from endocrine.pipeline.kafka.connection import security_options
from endocrine.pipeline.process.settings import Settings


def credentials(settings: Settings) -> auth.Credentials | None:
    """Return Faust's credentials; None for PLAINTEXT. Raises SettingsError."""
    options = security_options(settings)
    if not options:
        return None
    context = options["ssl_context"]
    if "sasl_oauth_token_provider" in options:
        return auth.OAuthCredentials(oauth_cb=options["sasl_oauth_token_provider"], ssl_context=context)
    if "sasl_mechanism" in options:
        return auth.SASLCredentials(
            username=options["sasl_plain_username"],
            password=options["sasl_plain_password"],
            mechanism=options["sasl_mechanism"],
            ssl_context=context,
        )
    return auth.SSLCredentials(context)
