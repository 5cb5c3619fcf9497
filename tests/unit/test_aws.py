"""The process's AWS clients."""

import pytest
from botocore.loaders import DataNotFoundError, Loader

from leaseway import aws

SERVICES = ("dynamodb", "sqs", "s3", "secretsmanager")


@pytest.fixture
def ours() -> Loader:
    """A loader with our reader, and with nothing that a client may have changed since it was read."""
    return Loader(file_loader=aws.DataFiles(), include_default_search_paths=True)


@pytest.fixture
def theirs() -> Loader:
    return Loader(include_default_search_paths=True)


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("kind", ["service-2", "endpoint-rule-set-1"])
def test_a_description_is_read_as_botocore_reads_it(service: str, kind: str, ours: Loader, theirs: Loader) -> None:
    assert ours.load_service_model(service, kind) == theirs.load_service_model(service, kind)


@pytest.mark.parametrize("name", ["endpoints", "partitions", "_retry", "sdk-default-configuration"])
def test_botocores_own_data_is_read_as_botocore_reads_it(name: str, ours: Loader, theirs: Loader) -> None:
    assert ours.load_data(name) == theirs.load_data(name)


def test_the_process_reads_with_it_and_what_is_not_there_is_not_found() -> None:
    loader = aws.session().get_component("data_loader")

    assert isinstance(loader.file_loader, aws.DataFiles)
    with pytest.raises(DataNotFoundError):
        loader.load_data("no-such-data")
