//! The load for the gateway's benchmark: signs a pool of unique requests, says so, and at a line on its standard input
//! sends them over kept connections, each request after the answer to the one before.
//!
//! It never sleeps while it sends: a client on another machine costs the server no waking up either, and with a RATE each
//! request is sent at its microsecond, evenly spread over the connections.
//!
//! `bench_load ADDRESS REQUESTS CONNECTIONS [RATE]`, with `NUVERA_API_KEY` and `PRIVATE_KEY_FILE` (PKCS#8 PEM). It prints
//! one line of JSON. `bench_load ADDRESS check` sends one good request, and then those that must be refused.
//!
//! `bench_load ADDRESS steady SECONDS CONNECTIONS` sends as much as goes through for that long. Nobody signs as quickly as
//! this gateway verifies: a batch is signed and sent again and again for half a minute, and all but the first time refused
//! as replayed, after everything else was checked.

use aws_lc_rs::{
    digest::{SHA256, digest},
    rand::SystemRandom,
    signature::{RSA_PKCS1_SHA256, RsaKeyPair},
};
use base64::{Engine, engine::general_purpose::STANDARD, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::json;
use std::{
    env,
    error::Error,
    fs, io, thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

const URI: &str = "/api/v1/signature-test";

struct Signer {
    api_key: String,
    pair: RsaKeyPair,
    body: String,
}

impl Signer {
    fn from_environment() -> Outcome<Self> {
        let pem = fs::read_to_string(env::var("PRIVATE_KEY_FILE")?)?;
        let der = STANDARD.decode(pem.lines().filter(|line| !line.starts_with('-')).collect::<String>())?;
        // A kilobyte of JSON, as a payment might be.
        let body = json!({ "reference": "x".repeat(1_024 - 16) }).to_string();
        Ok(Self { api_key: env::var("NUVERA_API_KEY")?, pair: RsaKeyPair::from_pkcs8(&der)?, body })
    }

    fn token(&self, jti: &str) -> Outcome<String> {
        #[allow(clippy::disallowed_methods)] // A client has a clock of its own.
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        let hash = digest(&SHA256, self.body.as_bytes());
        let hash: String = hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        let claims = json!({
            "iss": "nuvera-api", "aud": "nuvera-rest-api", "sub": self.api_key, "method": "POST", "uri": URI,
            "bodyHash": hash, "iat": now, "exp": now + 60, "jti": jti,
        });
        let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"RS256","typ":"JWT"}"#);
        let input = format!("{header}.{}", URL_SAFE_NO_PAD.encode(claims.to_string()));
        let mut signature = vec![0; self.pair.public_modulus_len()];
        self.pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), input.as_bytes(), &mut signature)?;
        Ok(format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }

    fn request(&self, token: &str, body: &str) -> Vec<u8> {
        format!(
            "POST {URI} HTTP/1.1\r\nhost: gateway\r\nx-api-key: {}\r\nauthorization: Bearer {token}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            self.api_key,
            body.len()
        )
        .into_bytes()
    }
}

fn sign_all(signer: &Signer, count: usize) -> Outcome<Vec<Vec<u8>>> {
    let mut seed = [0; 8];
    aws_lc_rs::rand::fill(&mut seed)?;
    let run = u64::from_le_bytes(seed);
    let halves = thread::scope(|scope| {
        let sign = |half: usize| {
            let numbers = (half..count).step_by(2);
            numbers.map(|n| Ok(signer.request(&signer.token(&format!("{run:x}-{n}"))?, &signer.body))).collect()
        };
        let threads: Vec<_> = (0..2).map(|half| scope.spawn(move || sign(half))).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().expect("signing does not panic"))
            .collect::<Vec<Outcome<Vec<_>>>>()
    });
    let mut all = Vec::with_capacity(count);
    for half in halves {
        all.extend(half?);
    }
    Ok(all)
}

/// Sends one request and reads its answer; answers the status.
async fn exchange(stream: &mut TcpStream, request: &[u8], buffer: &mut Vec<u8>) -> Outcome<u16> {
    stream.write_all(request).await?;
    buffer.clear();
    loop {
        if stream.read_buf(buffer).await? == 0 {
            return Err("the connection was closed".into());
        }
        let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
        let head = std::str::from_utf8(&buffer[..end])?.to_ascii_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap_or("0");
        if buffer.len() >= end + 4 + length.parse::<usize>()? {
            return Ok(head.split(' ').nth(1).unwrap_or_default().parse()?);
        }
    }
}

/// When a connection sends: its first request so long after the start, and then one every `every`.
#[derive(Clone, Copy)]
struct Pace {
    first: Duration,
    every: Duration,
}

/// Sends `requests` over one connection; with a pace, each at its time. Answers how many were accepted, and how long
/// each took, counted from when it was due.
async fn send(address: String, requests: Vec<Vec<u8>>, pace: Option<Pace>) -> Outcome<(usize, Vec<Duration>)> {
    let mut stream = TcpStream::connect(&address).await?;
    stream.set_nodelay(true)?;
    let mut buffer = Vec::with_capacity(4096);
    let mut accepted = 0;
    let mut taken = Vec::with_capacity(requests.len());
    let begun = Instant::now();
    for (index, request) in (0_u32..).zip(&requests) {
        let mut started = Instant::now();
        if let Some(pace) = pace {
            started = begun + pace.first + pace.every * index;
            while Instant::now() < started {
                tokio::task::yield_now().await;
            }
        }
        if exchange(&mut stream, request, &mut buffer).await? == 200 {
            accepted += 1;
        }
        taken.push(started.elapsed());
    }
    Ok((accepted, taken))
}

/// Sends `requests` over one connection again and again until `end`. Answers how many were accepted, and how many were sent.
async fn repeat(address: String, requests: Vec<Vec<u8>>, end: Instant) -> Outcome<(usize, usize)> {
    let mut stream = TcpStream::connect(&address).await?;
    stream.set_nodelay(true)?;
    let mut buffer = Vec::with_capacity(4096);
    let (mut accepted, mut sent) = (0, 0);
    for request in requests.iter().cycle() {
        match exchange(&mut stream, request, &mut buffer).await? {
            200 => accepted += 1,
            401 => {}
            status => return Err(format!("{status} is no answer to a good request or a replayed one").into()),
        }
        sent += 1;
        if Instant::now() > end {
            break;
        }
    }
    Ok((accepted, sent))
}

async fn steady(signer: &Signer, address: &str, seconds: u64, connections: usize) -> Outcome<()> {
    const BATCH: usize = 2_000;
    let end = Instant::now() + Duration::from_secs(seconds);
    let (mut accepted, mut sent) = (0, 0);
    while Instant::now() < end {
        let batch = sign_all(signer, BATCH)?;
        let until = end.min(Instant::now() + Duration::from_secs(30));
        let pools = batch.chunks(BATCH.div_ceil(connections));
        let senders: Vec<_> =
            pools.map(|pool| tokio::spawn(repeat(address.to_owned(), pool.to_vec(), until))).collect();
        for sender in senders {
            let (some, all) = sender.await??;
            (accepted, sent) = (accepted + some, sent + all);
        }
    }
    println!("{}", json!({ "requests": sent, "accepted": accepted }));
    Ok(())
}

async fn check(signer: &Signer, address: &str) -> Outcome<()> {
    let mut buffer = Vec::new();
    let good = signer.token("a-good-one")?;
    let other_body = signer.body.replacen('x', "y", 1);
    // One character of the signature, well away from its end, whose bits may be no part of it.
    let at = good.len() - 40;
    let changed = if &good[at..=at] == "A" { "B" } else { "A" };
    let forged = format!("{}{changed}{}", &good[..at], &good[at + 1..]);
    let fresh = signer.token("another")?;
    for (what, request, expected) in [
        ("a forged signature", signer.request(&forged, &signer.body), 401),
        ("another body", signer.request(&fresh, &other_body), 401),
        ("a good request", signer.request(&good, &signer.body), 200),
        ("the same again", signer.request(&good, &signer.body), 401),
    ] {
        let mut stream = TcpStream::connect(address).await?;
        let status = exchange(&mut stream, &request, &mut buffer).await?;
        if status != expected {
            return Err(
                format!("{what} is answered {status}, and not {expected}: this does not do the same job").into()
            );
        }
    }
    Ok(())
}

fn main() -> Outcome<()> {
    // By default the sockets are looked at every 61 steps, and with tasks that never rest a step is one of theirs.
    tokio::runtime::Builder::new_current_thread().enable_all().event_interval(4).build()?.block_on(run())
}

async fn run() -> Outcome<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let signer = Signer::from_environment()?;
    let address = arguments.first().ok_or("the address is missing")?.clone();
    if arguments.get(1).is_some_and(|word| word == "check") {
        return check(&signer, &address).await;
    }
    if arguments.get(1).is_some_and(|word| word == "steady") {
        let seconds = arguments.get(2).ok_or("for how many seconds?")?.parse()?;
        let connections = arguments.get(3).ok_or("over how many connections?")?.parse()?;
        return steady(&signer, &address, seconds, connections).await;
    }
    let count: usize = arguments.get(1).ok_or("how many requests?")?.parse()?;
    let connections: usize = arguments.get(2).ok_or("over how many connections?")?.parse()?;
    let rate: Option<f64> = arguments.get(3).map(|rate| rate.parse()).transpose()?;
    let pace = |index: usize| {
        let seconds = |requests: usize| rate.map(|rate| Duration::from_secs_f64(requests as f64 / rate));
        Some(Pace { first: seconds(index)?, every: seconds(connections)? })
    };
    let mut pools: Vec<Vec<Vec<u8>>> = vec![Vec::new(); connections];
    for (index, request) in sign_all(&signer, count)?.into_iter().enumerate() {
        pools[index % connections].push(request);
    }
    println!("signed");
    io::stdin().read_line(&mut String::new())?;
    let started = Instant::now();
    let awake = tokio::spawn(async {
        loop {
            tokio::task::yield_now().await;
        }
    });
    let pools = pools.into_iter().enumerate();
    let senders: Vec<_> = pools.map(|(index, pool)| tokio::spawn(send(address.clone(), pool, pace(index)))).collect();
    let (mut accepted, mut taken) = (0, Vec::with_capacity(count));
    for sender in senders {
        let (count, times) = sender.await??;
        accepted += count;
        taken.extend(times);
    }
    let seconds = started.elapsed().as_secs_f64();
    awake.abort();
    taken.sort_unstable();
    let quantile = |part: f64| taken[((taken.len() - 1) as f64 * part) as usize].as_secs_f64() * 1000.0;
    println!(
        "{}",
        json!({ "seconds": seconds, "requests": count, "accepted": accepted, "p50": quantile(0.5), "p99": quantile(0.99) })
    );
    Ok(())
}
