"""`python -m support.stubbed_command ARGUMENTS...`: `leaseway` in a process of its own, on a stubbed deployment."""

import os
import sys
import tempfile
import time

from leaseway_local import cli
from support.documented_answers import sample_answer
from support.stub_deployment import Answer, ApiRequest, StubDeployment

JOBS = 200  # more than a buffer holds


def answer_at_length(request: ApiRequest) -> Answer:
    if "STUB_ANSWERS_LATE" in os.environ:
        sys.stderr.write("waiting\n")
        sys.stderr.flush()
        time.sleep(60)
    answer = sample_answer(request.method, request.path.partition("?")[0])
    if isinstance(answer, dict) and "content" in answer:
        answer["content"] *= JOBS
    return Answer.of(answer)


def main() -> None:
    with tempfile.TemporaryDirectory() as home:
        os.environ |= {"LEASEWAY_HOME": home, "LEASEWAY_ENGINE": "localstack", "LOCALSTACK_HOST": "127.0.0.1:1"}
        with StubDeployment(answer_at_length).install():
            cli.main()


if __name__ == "__main__":
    main()
