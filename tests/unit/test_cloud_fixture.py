"""The in-memory account itself."""

from leaseway import aws
from leaseway.settings import needed


def test_every_part_of_a_deployment_is_there(cloud: None) -> None:
    # Given the cloud fixture, when each named part is asked for, then it answers
    dynamodb = aws.client("dynamodb")
    for setting in ("accounts_table", "jobs_table", "totals_table"):
        assert dynamodb.describe_table(TableName=needed(setting))["Table"]["TableStatus"] == "ACTIVE"
    assert aws.client("sqs").get_queue_attributes(QueueUrl=needed("jobs_queue_url"), AttributeNames=["QueueArn"])
    assert aws.client("s3").head_bucket(Bucket=needed("bucket"))
    assert aws.client("secretsmanager").get_secret_value(SecretId=needed("cursor_secret"))["SecretString"]


def test_tests_share_nothing(cloud: None) -> None:
    # Given a table that another test may have used, when it is counted, then it is empty
    assert aws.client("dynamodb").scan(TableName=needed("jobs_table"))["Count"] == 0
    aws.client("dynamodb").put_item(TableName=needed("jobs_table"), Item={"id": {"S": "left"}})


def test_tests_still_share_nothing(cloud: None) -> None:
    # Given the item of the test before, when the table is counted, then it is gone
    assert aws.client("dynamodb").scan(TableName=needed("jobs_table"))["Count"] == 0
