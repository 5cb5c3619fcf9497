"""The in-memory account itself."""

from leaseway import aws
from leaseway.settings import require_setting


def test_every_part_of_a_deployment_is_there(cloud: None) -> None:
    # Given the cloud fixture, when each named part is asked for, then it answers
    dynamodb = aws.client("dynamodb")
    for setting in ("accounts_table", "jobs_table", "totals_table"):
        assert dynamodb.describe_table(TableName=require_setting(setting))["Table"]["TableStatus"] == "ACTIVE"
    assert aws.client("sqs").get_queue_attributes(
        QueueUrl=require_setting("jobs_queue_url"), AttributeNames=["QueueArn"]
    )
    assert aws.client("s3").head_bucket(Bucket=require_setting("bucket"))
    assert aws.client("secretsmanager").get_secret_value(SecretId=require_setting("cursor_secret"))["SecretString"]


def test_tests_share_nothing(cloud: None) -> None:
    # Given a table that another test may have used, when it is counted, then it is empty
    assert aws.client("dynamodb").scan(TableName=require_setting("jobs_table"))["Count"] == 0
    aws.client("dynamodb").put_item(TableName=require_setting("jobs_table"), Item={"id": {"S": "left"}})


def test_tests_still_share_nothing(cloud: None) -> None:
    # Given the item of the test before, when the table is counted, then it is gone
    assert aws.client("dynamodb").scan(TableName=require_setting("jobs_table"))["Count"] == 0
