"""The CORS rules of the bucket, which the `minio` client has no call for (as of 7.2).

https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketCors.html
"""

import base64
import hashlib
from collections.abc import Sequence
from xml.etree.ElementTree import Element, SubElement, tostring

from minio import Minio

_NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"


def set_cors(client: Minio, bucket: str, origins: Sequence[str]) -> None:
    """Let pages of these origins send presigned uploads and read the tag of what they sent; replaces former rules."""
    body = _rules(origins)
    digest = base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()  # the API demands it
    client._execute(  # the only way to send a signed request of one's own
        "PUT", bucket, body=body, headers={"Content-MD5": digest}, query_params={"cors": ""}
    )


def _rules(origins: Sequence[str]) -> bytes:
    root = Element("CORSConfiguration", xmlns=_NAMESPACE)
    rule = SubElement(root, "CORSRule")
    values = [("AllowedOrigin", origin) for origin in origins]
    values += [("AllowedMethod", method) for method in ("POST", "PUT")]
    values += [("AllowedHeader", "*"), ("ExposeHeader", "ETag"), ("MaxAgeSeconds", "3600")]
    for name, value in values:
        SubElement(rule, name).text = value
    return bytes(tostring(root, encoding="utf-8"))
