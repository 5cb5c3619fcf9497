"""The benchmark of cold starts covers what the template deploys."""

from benchmarks.cold_start import CLIENTS, handlers


def test_every_function_has_a_bare_handler_to_be_compared_with():
    assert set(CLIENTS) == set(handlers())
