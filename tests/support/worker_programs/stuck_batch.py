"""A batch with an executor that never returns, and a neighbour that does. Prints what is left when it exits."""

import os
from types import SimpleNamespace

import worker.run
from leaseway import aws
from leaseway.jobs import Options, create_job
from support.worker_programs.in_memory import deployment, print_state
from worker.app import handler


def main() -> None:
    with deployment() as queue_url:
        stubborn = create_job("ann", "STUBBORN", {}, Options(ttl_ms=300))
        quick = create_job("ann", "QUICK", {"wait_ms": 600})
        messages = aws.client("sqs").receive_message(QueueUrl=queue_url, MaxNumberOfMessages=10)["Messages"]
        records = [
            {"messageId": one["MessageId"], "receiptHandle": one["ReceiptHandle"], "body": one["Body"]}
            for one in messages
        ]
        exit_process = os._exit

        def print_and_exit(code: int) -> None:
            print_state(queue_url, stubborn, quick)
            exit_process(code)

        os._exit = print_and_exit  # type: ignore[assignment]
        worker.run.OVERRUN_SECONDS = 0.2
        handler(
            {"Records": records}, SimpleNamespace(log_stream_name="s", get_remaining_time_in_millis=lambda: 900_000)
        )
        print("returned", flush=True)


if __name__ == "__main__":
    main()
