"""Python imports this at its start, in every process whose PYTHONPATH has this folder: engine, functions and nodes.

What the project packages does not change: the campaign starts its engine and nodes with this path and `CAMPAIGN_FOLDER`
in their environment, and the engine passes both on to each function.
"""

import os

if "CAMPAIGN_FOLDER" in os.environ:
    import change_journal
    import client_faults
    from import_hooks import after_import

    after_import("ministack.services.dynamodb", change_journal.install)
    if "AWS_LAMBDA_FUNCTION_NAME" in os.environ or "CAMPAIGN_NODE" in os.environ:
        after_import("botocore.httpsession", client_faults.install)
