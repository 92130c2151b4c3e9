import hashlib
import os
import sys
import time
import urllib.error
import urllib.request
import uuid

import jwt

gateway = '{gateway}'
uri = '/api/v1/signature-test'
api_key = os.environ['NUVERA_API_KEY']
with open(os.environ['NUVERA_PRIVATE_KEY_FILE'], 'rb') as file:
    private_key = file.read()

now = int(time.time())
claims = {
    'iss': 'nuvera-api',
    'aud': 'nuvera-rest-api',
    'sub': api_key,
    'method': 'GET',
    'uri': uri,
    'bodyHash': hashlib.sha256(b'').hexdigest(),
    'iat': now,
    'exp': now + 55,
    'jti': str(uuid.uuid4()),
}
token = jwt.encode(claims, private_key, algorithm='RS256')

request = urllib.request.Request(gateway + uri)
request.add_header('x-api-key', api_key)
request.add_header('authorization', f'Bearer {token}')
try:
    response = urllib.request.urlopen(request)
except urllib.error.HTTPError as refusal:
    response = refusal
print(response.status)
print(response.read().decode())
sys.exit(response.status != 200)
