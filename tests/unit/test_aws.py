"""The process's AWS clients."""

import botocore.loaders
import pytest

from leaseway import aws

SERVICES = ("dynamodb", "sqs", "s3", "secretsmanager")


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("kind", ["service-2", "endpoint-rule-set-1"])
def test_a_description_is_read_as_botocore_reads_it(service: str, kind: str):
    theirs = botocore.loaders.Loader(include_default_search_paths=True)

    assert aws.session().get_component("data_loader").load_service_model(service, kind) == theirs.load_service_model(
        service, kind
    )


@pytest.mark.parametrize("name", ["endpoints", "partitions", "_retry", "sdk-default-configuration"])
def test_botocores_own_data_is_read_as_botocore_reads_it(name: str):
    theirs = botocore.loaders.Loader(include_default_search_paths=True)

    assert aws.session().get_component("data_loader").load_data(name) == theirs.load_data(name)


def test_data_that_is_not_there_is_not_found():
    with pytest.raises(botocore.loaders.DataNotFoundError):
        aws.session().get_component("data_loader").load_data("no-such-data")
