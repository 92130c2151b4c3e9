"""Signs one request with PyJWT and sends it. Prints the status, and then the body."""

import hashlib
import os
import time
import urllib.error
import urllib.request
import uuid

import jwt

key, method, uri = (os.environ[name] for name in ("NUVERA_API_KEY", "NUVERA_METHOD", "NUVERA_URI"))
body = os.environ["NUVERA_BODY"].encode()
with open(os.environ["NUVERA_PRIVATE_KEY_FILE"], "rb") as file:
    private_key = file.read()

now = int(time.time())
claims = {
    "iss": "nuvera-api",
    "aud": "nuvera-rest-api",
    "sub": key,
    "method": method,
    "uri": uri,
    "bodyHash": hashlib.sha256(body).hexdigest(),
    "iat": now,
    "exp": now + 55,
    "jti": str(uuid.uuid4()),
}
token = jwt.encode(claims, private_key, algorithm="RS256")
request = urllib.request.Request(
    os.environ["NUVERA_GATEWAY"] + uri,
    method=method,
    data=body or None,
    headers={"x-api-key": key, "authorization": f"Bearer {token}", "content-type": "application/json"},
)
try:
    with urllib.request.urlopen(request) as response:
        print(response.status)
        print(response.read().decode())
except urllib.error.HTTPError as refusal:
    print(refusal.code)
    print(refusal.read().decode())
