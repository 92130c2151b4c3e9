"""Signs what schemathesis sends, so that it gets past the door."""

import hashlib
import os
import time
import uuid

import jwt
import requests
import schemathesis

KEY = os.environ["NUVERA_API_KEY"]
with open(os.environ["NUVERA_PRIVATE_KEY_FILE"], "rb") as file:
    PRIVATE_KEY = file.read()


class Signed(requests.auth.AuthBase):
    """Signs a request as it goes out: its own bytes, and not what was meant by them."""

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        body = request.body or b""
        if isinstance(body, str):
            body = body.encode()
        now = int(time.time())
        claims = {
            "iss": "nuvera-api",
            "aud": "nuvera-rest-api",
            "sub": KEY,
            "method": request.method,
            "uri": request.path_url,
            "bodyHash": hashlib.sha256(body).hexdigest(),
            "iat": now,
            "exp": now + 55,
            "jti": str(uuid.uuid4()),
        }
        request.headers["x-api-key"] = KEY
        request.headers["authorization"] = f"Bearer {jwt.encode(claims, PRIVATE_KEY, algorithm='RS256')}"
        return request


schemathesis.auth.set_from_requests(Signed())
