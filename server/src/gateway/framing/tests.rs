use super::*;
use tokio::io::AsyncReadExt;

const GET: &str = "GET /a HTTP/1.1\r\nHost: x\r\n\r\n";

/// Hands over what arrives in pieces of `piece` bytes, and answers each request's bytes with its notes.
async fn follow(sent: &str, piece: usize) -> Vec<(String, HeadNotes)> {
    let notes = Notes::default();
    let mut stream = NotedStream::new(Pieces { bytes: sent.as_bytes(), piece }, notes.clone());
    let mut requests = Vec::new();
    let mut buffer = [0; 4096];
    let mut request = String::new();
    loop {
        let read = stream.read(&mut buffer).await.unwrap();
        request.push_str(std::str::from_utf8(&buffer[..read]).unwrap());
        let between = matches!(&stream.place, Place::Head(head) if !head.begun && head.line.is_empty());
        if (between || read == 0) && !request.is_empty() {
            requests.push((std::mem::take(&mut request), notes.take()));
        }
        if read == 0 {
            return requests;
        }
    }
}

struct Pieces<'a> {
    bytes: &'a [u8],
    piece: usize,
}

impl AsyncRead for Pieces<'_> {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let (now, later) = self.bytes.split_at(self.bytes.len().min(self.piece).min(buf.remaining()));
        buf.put_slice(now);
        self.bytes = later;
        Poll::Ready(Ok(()))
    }
}

/// The notes on the first request, which must be the same however the bytes arrive.
async fn notes(head: &str) -> HeadNotes {
    let whole = follow(head, 4096).await.remove(0).1;
    for piece in [1, 2, 3, 7] {
        let requests = follow(head, piece).await;
        let all = requests.iter().fold(0, |notes, (_, more)| notes | more.0);
        assert_eq!(all & whole.0, whole.0, "{head} in pieces of {piece}");
    }
    whole
}

#[tokio::test]
async fn one_request_is_handed_over_at_a_time() {
    let post = "POST /b HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nGET /";
    let last = "POST /c HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n";
    let sent = [GET, post, GET, last].concat();
    for piece in [1, 2, 5, 17, 4096] {
        let requests: Vec<_> = follow(&sent, piece).await.into_iter().map(|(text, _)| text).collect();
        assert_eq!(requests, [GET, post, GET, last], "in pieces of {piece}");
    }
}

#[tokio::test]
async fn a_plain_request_has_no_notes() {
    for head in [
        GET,
        "POST /?a=b HTTP/1.1\r\ncontent-length: 3\r\nX-Content-Length: 9\r\nX: Transfer-Encoding: chunked\r\n\r\n#\n\n",
        "\r\n\r\nGET /a HTTP/1.1\r\nHost: x#y\r\n\r\n",
    ] {
        assert_eq!(notes(head).await, HeadNotes(0), "{head}");
    }
}

#[tokio::test]
async fn a_length_that_is_not_plain_is_noted() {
    for headers in [
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "transfer-encoding: chunked\r\ncontent-length: 5",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: identity",
        "Content-Length: 5\r\nContent-Length: 5",
        "Content-Length: 5\r\nContent-Length: 6",
        "Content-Length: 5, 5",
        "Content-Length: +5",
        "Content-Length: 0x5",
        "Content-Length:",
        "Content-Length: 99999999999999999999",
    ] {
        let notes = notes(&format!("POST / HTTP/1.1\r\n{headers}\r\n\r\nhello")).await;
        assert_eq!(notes.check(), Err(MalformedRequest::AmbiguousLength), "{headers}");
        assert!(notes.must_close(), "{headers}");
    }
}

#[tokio::test]
async fn chunks_fragments_and_bare_line_feeds_are_noted() {
    let chunked = notes("POST / HTTP/1.1\r\nTransfer-Encoding: Chunked\r\n\r\n0\r\n\r\n").await;
    assert!(chunked.must_close() && chunked.check().is_ok());
    assert!(notes("GET /a#b HTTP/1.1\r\n\r\n").await.fragment());
    assert_eq!(notes("GET / HTTP/1.1\nHost: x\r\n\r\n").await.check(), Err(MalformedRequest::BareLineFeed));
    assert_eq!(notes("GET / HTTP/1.1\r\nHost: x\n\r\n").await.check(), Err(MalformedRequest::BareLineFeed));
    assert_eq!(notes("GET / HTTP/1.1\r\nHost: x\r\n\n").await.check(), Err(MalformedRequest::BareLineFeed));
}

#[tokio::test]
async fn after_chunks_everything_is_passed_on() {
    let sent = format!("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n\n\r\n\r\n0\r\n\r\n{GET}");
    let requests = follow(&sent, 4096).await;
    assert_eq!(requests.len(), 1);
    assert_eq!(requests[0].0, sent);
}
