//! A signed test request, for any shell with openssl and curl.

/// A script that sends a signed test request to the gateway at `gateway_url`.
///
/// It runs in a subshell, so that a missing variable stops it and nothing is left behind in the shell it was pasted
/// into. The key and the token go to curl through its standard input: arguments can be read by other users.
pub(super) fn snippet(gateway_url: &str) -> String {
    let gateway = gateway_url.replace('\'', r"'\''");
    SNIPPET.replace("{gateway}", &gateway)
}

const SNIPPET: &str = r##"(
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
  curl --silent --show-error --include --header @- "$gateway$uri"
)"##;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gateway_is_one_word_of_the_shell_whatever_it_holds() {
        assert!(snippet("https://gateway.example").contains("\ngateway='https://gateway.example'\n"));
        assert!(snippet("https://x'; rm -rf /").contains(r"gateway='https://x'\''; rm -rf /'"));
    }
}
