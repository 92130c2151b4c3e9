//! A passkey authenticator and the browser's part in a ceremony (Web Authentication, level 3): correct behaviour, and
//! that of an attacker or a faulty device.

use crate::support::{Answer, ORIGIN};
use aws_lc_rs::{
    digest,
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};

/// An authenticator with one passkey.
pub struct Device {
    key: EcdsaKeyPair,
    pub credential_id: Vec<u8>,
    pub user: Vec<u8>,
    /// The signature counter; 0 on an authenticator that does not count.
    pub counter: u32,
    /// Whether it verifies its user (the UV flag).
    pub verifies: bool,
    /// The origin that the browser reports in the client data.
    pub origin: String,
    /// The relying party id whose hash it signs.
    pub relying_party: String,
}

const PRESENT: u8 = 1;
const VERIFIED: u8 = 1 << 2;
const HAS_KEY: u8 = 1 << 6;

/// Returns the options that the page passes to `navigator.credentials`.
pub fn options(page: &Answer) -> Value {
    let at = page.body.find("data-options=\"").unwrap_or_else(|| panic!("no options: {}", page.text()));
    let text = page.body[at + 14..].split('"').next().unwrap();
    serde_json::from_str(&text.replace("&quot;", "\"").replace("&amp;", "&")).unwrap()
}

impl Device {
    /// Creates a passkey for the page's options. Returns it with the response for the page's form.
    pub fn make(page: &Answer) -> (Self, String) {
        let options = options(page);
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
        let mut credential_id = vec![0; 16];
        aws_lc_rs::rand::fill(&mut credential_id).unwrap();
        let device = Self {
            key,
            credential_id,
            user: decoded(&options["user"]["id"]),
            counter: 1,
            verifies: true,
            origin: ORIGIN.to_owned(),
            relying_party: options["rp"]["id"].as_str().unwrap().to_owned(),
        };
        let answer = device.attest(&options);
        (device, answer)
    }

    /// Returns the response to a page that registers a passkey.
    pub fn attest(&self, options: &Value) -> String {
        let point = self.key.public_key().as_ref();
        let mut data = self.data(HAS_KEY);
        data.extend([0; 16]);
        data.extend((self.credential_id.len() as u16).to_be_bytes());
        data.extend(&self.credential_id);
        // The public key in COSE encoding (RFC 9053, section 7.1.1): a map of five entries.
        data.extend([0xa5, 0x01, 0x02, 0x03, 0x26, 0x20, 0x01, 0x21, 0x58, 32]);
        data.extend(&point[1..33]);
        data.extend([0x22, 0x58, 32]);
        data.extend(&point[33..65]);
        // {"fmt": "none", "attStmt": {}, "authData": …} in CBOR.
        let mut object = vec![0xa3, 0x63];
        object.extend(b"fmt\x64none\x67attStmt\xa0\x68authData\x58");
        object.push(data.len() as u8);
        object.extend(&data);
        self.answer(json!({
            "attestationObject": URL_SAFE_NO_PAD.encode(object),
            "clientDataJSON": URL_SAFE_NO_PAD.encode(self.client_data("webauthn.create", options)),
            "transports": ["internal"],
        }))
    }

    /// Returns the response to a page that asks for a passkey, and increments the counter.
    pub fn prove(&mut self, page: &Answer) -> String {
        let options = options(page);
        self.prove_to(&options)
    }

    /// Returns the response to these options, and increments the counter.
    pub fn prove_to(&mut self, options: &Value) -> String {
        self.counter += u32::from(self.counter > 0);
        let client_data = self.client_data("webauthn.get", options);
        let data = self.data(0);
        let signed = [&data, digest::digest(&digest::SHA256, &client_data).as_ref()].concat();
        let signature = self.key.sign(&SystemRandom::new(), &signed).unwrap();
        self.answer(json!({
            "authenticatorData": URL_SAFE_NO_PAD.encode(data),
            "clientDataJSON": URL_SAFE_NO_PAD.encode(client_data),
            "signature": URL_SAFE_NO_PAD.encode(signature),
            "userHandle": URL_SAFE_NO_PAD.encode(&self.user),
        }))
    }

    fn data(&self, flags: u8) -> Vec<u8> {
        let flags = flags | PRESENT | if self.verifies { VERIFIED } else { 0 };
        let mut data = digest::digest(&digest::SHA256, self.relying_party.as_bytes()).as_ref().to_vec();
        data.push(flags);
        data.extend(self.counter.to_be_bytes());
        data
    }

    fn client_data(&self, kind: &str, options: &Value) -> Vec<u8> {
        let data = json!({
            "type": kind, "challenge": options["challenge"], "origin": self.origin, "crossOrigin": false,
        });
        data.to_string().into_bytes()
    }

    fn answer(&self, response: Value) -> String {
        let id = URL_SAFE_NO_PAD.encode(&self.credential_id);
        json!({
            "id": id, "rawId": id, "type": "public-key", "authenticatorAttachment": "platform",
            "clientExtensionResults": {}, "response": response,
        })
        .to_string()
    }
}

fn decoded(text: &Value) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(text.as_str().unwrap()).unwrap()
}
