#!/bin/sh
# LocalStack runs this once it is ready: the same deployer as everywhere, from the project's own files.
set -eu
cd /opt/leaseway
export LOCALSTACK_HOST=localhost:4566 PYTHONPATH=localstack:layers/core/python
exec /opt/python3.11/bin/python3.11 -m leaseway_local.cli deploy --target localstack
