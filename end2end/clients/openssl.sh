#!/usr/bin/env bash
# Signs one request with openssl and sends it with curl. Prints the status, and then the body.
set -euo pipefail

b64url() { openssl base64 -A | tr '+/' '-_' | tr -d '='; }

now=$(date +%s)
body_hash=$(printf '%s' "$NUVERA_BODY" | openssl dgst -sha256 -r | cut -d ' ' -f 1)
header=$(printf '{"alg":"RS256","typ":"JWT"}' | b64url)
claims=$(printf '{"iss":"nuvera-api","aud":"nuvera-rest-api","sub":"%s","method":"%s","uri":"%s","bodyHash":"%s","iat":%d,"exp":%d,"jti":"%s"}' \
  "$NUVERA_API_KEY" "$NUVERA_METHOD" "$NUVERA_URI" "$body_hash" "$now" "$((now + 55))" "$(openssl rand -hex 16)" | b64url)
signature=$(printf '%s.%s' "$header" "$claims" | openssl dgst -sha256 -sign "$NUVERA_PRIVATE_KEY_FILE" -binary | b64url)

body=()
if [ -n "$NUVERA_BODY" ]; then body=(--data-binary "$NUVERA_BODY" --header 'content-type: application/json'); fi
answer=$(curl --silent --show-error --write-out '\n%{http_code}' --request "$NUVERA_METHOD" \
  --header "x-api-key: $NUVERA_API_KEY" --header "authorization: Bearer $header.$claims.$signature" \
  "${body[@]}" "$NUVERA_GATEWAY$NUVERA_URI")
printf '%s\n%s\n' "${answer##*$'\n'}" "${answer%$'\n'*}"
