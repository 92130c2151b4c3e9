use jsonwebtoken::{Algorithm, EncodingKey, Header, encode, get_current_timestamp};
use sha2::{Digest, Sha256};
use std::{env, error::Error, fs};

const GATEWAY: &str = "{gateway}";
const URI: &str = "/api/v1/signature-test";

fn main() -> Result<(), Box<dyn Error>> {
    let api_key = env::var("NUVERA_API_KEY")?;
    let private_key = EncodingKey::from_rsa_pem(&fs::read(env::var("NUVERA_PRIVATE_KEY_FILE")?)?)?;

    let now = get_current_timestamp();
    let claims = serde_json::json!({
        "iss": "nuvera-api",
        "aud": "nuvera-rest-api",
        "sub": api_key,
        "method": "GET",
        "uri": URI,
        "bodyHash": format!("{:x}", Sha256::digest(b"")),
        "iat": now,
        "exp": now + 55,
        "jti": uuid::Uuid::new_v4(),
    });
    let token = encode(&Header::new(Algorithm::RS256), &claims, &private_key)?;

    let mut response = ureq::get(format!("{GATEWAY}{URI}"))
        .config()
        .http_status_as_error(false)
        .build()
        .header("x-api-key", &api_key)
        .header("authorization", format!("Bearer {token}"))
        .call()?;
    println!("{}\n{}", response.status(), response.body_mut().read_to_string()?);
    if response.status() != 200 {
        return Err("the request was refused".into());
    }
    Ok(())
}
