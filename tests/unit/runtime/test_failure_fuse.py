"""When a worker gives itself up for broken."""

from endocrine.pipeline.runtime.worker.failure_fuse import FailureFuse


def test_a_share_of_failures_that_is_allowed_never_blows_it_and_one_more_does():
    assert not any(FailureFuse(0.5, 100).blown(50, 25) for _ in range(100))
    for last, blows in ((25, False), (26, True)):
        fuse = FailureFuse(0.5, 100)
        assert not fuse.blown(50, 25)
        assert fuse.blown(50, last) is blows


def test_it_does_not_blow_before_a_full_window_was_read():
    fuse = FailureFuse(0.1, 100)
    assert not fuse.blown(99, 99)
    assert fuse.blown(1, 0)


def test_old_failures_are_forgotten_after_a_window_and_a_half():
    fuse = FailureFuse(0.5, 100)
    fuse.blown(50, 50)
    for _ in range(3):
        fuse.blown(50, 0)
    assert not fuse.blown(50, 25)
    assert fuse.blown(50, 50)
