(
: "${NUVERA_API_KEY:?set it to the API key}"
: "${NUVERA_PRIVATE_KEY_FILE:?set it to the private key file}"
gateway='{gateway}'
uri='/api/v1/signature-test'

b64url() { openssl base64 -A | tr '+/' '-_' | tr -d '='; }
now=$(date +%s)
body_hash=$(printf '' | openssl dgst -sha256 -r | cut -d ' ' -f 1)
header=$(printf '{"alg":"RS256","typ":"JWT"}' | b64url)
claims=$(printf '{"iss":"nuvera-api","aud":"nuvera-rest-api","sub":"%s","method":"GET","uri":"%s","bodyHash":"%s","iat":%d,"exp":%d,"jti":"%s"}' \
  "$NUVERA_API_KEY" "$uri" "$body_hash" "$now" "$((now + 55))" "$(openssl rand -hex 16)" | b64url)
signature=$(printf '%s.%s' "$header" "$claims" |
  openssl dgst -sha256 -sign "$NUVERA_PRIVATE_KEY_FILE" -binary | b64url)

printf 'x-api-key: %s\nauthorization: Bearer %s\n' "$NUVERA_API_KEY" "$header.$claims.$signature" |
  curl --silent --show-error --include --fail-with-body --header @- "$gateway$uri"
)
