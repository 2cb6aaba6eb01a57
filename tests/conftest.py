"""What holds for all tests."""

from hypothesis import HealthCheck, settings

# No test fails because the machine is slow.
settings.register_profile("endocrine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("endocrine")
