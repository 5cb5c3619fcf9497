"""Uploads: permission to put one object into the bucket, without sending it through the API."""

from collections.abc import Mapping
from typing import Annotated

import msgspec
from chalice.app import Blueprint
from msgspec import Meta

from api.routes import Call, Operation, operation
from api.views import Time, rfc3339
from leaseway.objects import UPLOAD_TYPES, create_upload

uploads = Blueprint(__name__)

_TAG = "Uploads"


class NewUpload(msgspec.Struct, forbid_unknown_fields=True):
    """The object to upload."""

    content_type: Annotated[str, Meta(extra_json_schema={"enum": sorted(UPLOAD_TYPES)})]
    size: Annotated[
        int,
        Meta(
            description="The exact number of bytes; at most the deployment's UPLOAD_LIMIT, by default 26214400",
            extra_json_schema={"minimum": 1},
        ),
    ]


class UploadView(msgspec.Struct):
    """A form to send as multipart/form-data: `fields` first, then the bytes as the field `file`."""

    key: Annotated[str, Meta(description="The object's key, for a job's payload, such as the source of IMAGE_RESIZE")]
    url: str
    method: str
    fields: Mapping[str, str]
    expires_at: Time


@operation(
    uploads,
    Operation(
        method="POST",
        path="/api/v1/uploads",
        tag=_TAG,
        summary="Get a link to upload an image",
        status=201,
        body=NewUpload,
        answer=UploadView,
        example={"content_type": "image/jpeg", "size": 1_048_576},
    ),
)
def request_upload(call: Call[NewUpload, None]) -> UploadView:
    """The link accepts one object of exactly this type and size, under the caller's own prefix, for a few minutes."""
    upload = create_upload(call.caller.subject, call.body.content_type, call.body.size)
    return UploadView(
        key=upload.key,
        url=upload.url,
        method=upload.method,
        fields=upload.fields,
        expires_at=rfc3339(upload.expires_at),
    )
