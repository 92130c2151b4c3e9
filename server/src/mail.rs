//! Mail on its way out: over SMTP, or into a folder where no server is given.

use crate::{
    events::EVENTS,
    random,
    tls::{self, Authorities},
};
use domain::time::Timestamp;
use lettre::{
    Address, AsyncFileTransport, AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor,
    address::AddressError,
    message::{
        Mailbox, SinglePart,
        header::{HeaderName, HeaderValue},
    },
    transport::{
        file,
        smtp::{self, SUBMISSION_PORT, SUBMISSIONS_PORT, client::Tls},
    },
};
use std::{
    io,
    os::unix::fs::DirBuilderExt,
    path::Path,
    time::{Duration, UNIX_EPOCH},
};
use url::Url;

/// Sends mail, from one sender.
pub struct Mailer {
    from: Mailbox,
    transport: Transport,
}

enum Transport {
    Smtp(AsyncSmtpTransport<Tokio1Executor>),
    /// One file a message, `<UUID>.eml`, as it would be sent (RFC 5322).
    Folder(AsyncFileTransport<Tokio1Executor>),
}

/// A message in plain text to one person.
#[derive(Clone, Debug)]
pub struct Mail<'a> {
    /// Their address.
    pub to: &'a str,
    /// What it is about, in a line. Whatever it holds, it stays one header.
    pub subject: String,
    /// What it says.
    pub body: String,
    /// When.
    pub at: Timestamp,
}

/// Why a message did not get away. It can be sent again.
#[derive(Debug, thiserror::Error)]
pub enum MailError {
    /// The recipient's address is none.
    #[error("the recipient's address cannot be used: {0}")]
    Address(#[from] AddressError),
    /// The message cannot be built.
    #[error("the message cannot be built: {0}")]
    Message(#[from] lettre::error::Error),
    /// The server could not be reached, or did not take the message.
    #[error("the SMTP server did not take the message: {}", tls::in_full(.0))]
    Smtp(#[from] smtp::Error),
    /// The folder could not be written to.
    #[error("the message could not be written: {0}")]
    Folder(#[from] file::Error),
}

impl Mailer {
    /// Sends by way of the SMTP server at `url`: `smtps://user:password@host`, or `smtp://host?tls=required` for STARTTLS.
    ///
    /// # Errors
    /// The URL names no server, or there are no authorities to trust.
    pub fn smtp(url: &str, from: Mailbox, authorities: &Authorities) -> Result<Self, smtp::Error> {
        let server = |url| AsyncSmtpTransport::<Tokio1Executor>::from_url(url);
        let transport = match Url::parse(url).ok().and_then(with_tls) {
            // lettre would trust other authorities: what it makes of the URL without TLS is given ours.
            Some(WithTls { plain, host, wrap }) => server(plain.as_str())?.tls(wrap(authorities.for_mail(&host)?)),
            None => server(url)?,
        };
        Ok(Self { from, transport: Transport::Smtp(transport.build()) })
    }

    /// Writes messages into `folder`, for its owner only; made where it is missing.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn folder(folder: &Path, from: Mailbox) -> io::Result<Self> {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        Ok(Self { from, transport: Transport::Folder(AsyncFileTransport::new(folder)) })
    }

    /// Sends a message. When this answers, the server has taken it, or the file is written.
    ///
    /// # Errors
    /// It did not get away.
    pub async fn send(&self, mail: Mail<'_>) -> Result<(), MailError> {
        let sent = self.deliver(mail).await;
        EVENTS.mail(sent.is_ok());
        sent
    }

    async fn deliver(&self, mail: Mail<'_>) -> Result<(), MailError> {
        let to: Address = mail.to.parse()?;
        let sent_at = UNIX_EPOCH + Duration::from_millis(mail.at.as_millis().try_into().unwrap_or(0));
        let message_id = format!("<{}@{}>", random::uuid(mail.at), self.from.email.domain());
        let message = Message::builder()
            .from(self.from.clone())
            .to(to.into())
            .date(sent_at)
            .message_id(Some(message_id))
            .subject(mail.subject)
            // Nobody's absence note answers it (RFC 3834, 5).
            .raw_header(HeaderValue::new(HeaderName::new_from_ascii_str("Auto-Submitted"), "auto-generated".into()))
            .singlepart(SinglePart::plain(mail.body))?;
        match &self.transport {
            Transport::Smtp(server) => {
                server.send(message).await?;
            }
            Transport::Folder(folder) => {
                let file = folder.send(message).await?;
                tracing::info!(%file, "no SMTP server is given (--smtp-url): a message was written to the mail folder");
            }
        }
        Ok(())
    }
}

/// A server that is spoken to by TLS.
struct WithTls {
    /// Its URL, as it would be without.
    plain: Url,
    host: String,
    wrap: fn(smtp::client::TlsParameters) -> Tls,
}

fn with_tls(mut url: Url) -> Option<WithTls> {
    let tls = url.query_pairs().find(|(name, _)| name == "tls").map(|(_, value)| value.into_owned());
    let (port, wrap): (_, fn(_) -> _) = match (url.scheme(), tls.as_deref()) {
        ("smtps", _) => (SUBMISSIONS_PORT, Tls::Wrapper),
        ("smtp", Some("required")) => (SUBMISSION_PORT, Tls::Required),
        ("smtp", Some("opportunistic")) => (SUBMISSION_PORT, Tls::Opportunistic),
        _ => return None,
    };
    let host = url.host_str()?.to_owned();
    url.set_port(Some(url.port().unwrap_or(port))).ok()?;
    url.set_scheme("smtp").ok()?;
    url.set_query(None);
    Some(WithTls { plain: url, host, wrap })
}

/// A name as it is safe in a letter's own lines: whatever could begin another one is a space.
pub fn one_line(name: &str) -> String {
    let is_break = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
    name.chars().map(|c| if is_break(c) { ' ' } else { c }).collect()
}

/// A name that a user chose, as it is written in a message from Nuvera: on one line, in quotation marks that it cannot close,
/// and with nothing that a mail program would turn into a link.
pub fn quoted(name: &str) -> String {
    format!("“{}”", without_links(&one_line(name).replace(['“', '”', '"', '„'], "'")))
}

/// An e-mail address that a user entered. One with a slash could pass for a URL.
pub fn shown_address(email: &str) -> String {
    if email.contains('/') { without_links(email) } else { one_line(email) }
}

/// A text that a user chose, on one line, with the dots of host names and the colons of URLs in brackets, as in
/// `login[.]example` and `https[:]//`.
pub fn without_links(text: &str) -> String {
    let line = one_line(text);
    let mut shown = String::with_capacity(line.len());
    for (index, character) in line.char_indices() {
        let (before, after) = (&line[..index], &line[index + character.len_utf8()..]);
        let joins_host = || {
            before.ends_with(char::is_alphanumeric)
                && after.chars().take_while(|next| next.is_alphanumeric() || *next == '-').count() > 1
        };
        match character {
            '.' | '。' | '．' | '｡' if joins_host() => shown.push_str("[.]"),
            ':' if after.starts_with("//") => shown.push_str("[:]"),
            _ => shown.push(character),
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quoted_name_is_one_line_that_neither_links_nor_closes_its_quotation() {
        for (name, expected) in [
            ("Grace Green", "“Grace Green”"),
            ("J. R. O’Neill-Øst", "“J. R. O’Neill-Øst”"),
            ("Alpine Pay Ltd.", "“Alpine Pay Ltd.”"),
            ("https://evil.example/x", "“https[:]//evil[.]example/x”"),
            ("www.evil.example", "“www[.]evil[.]example”"),
            ("evil.example", "“evil[.]example”"),
            ("evil。example", "“evil[.]example”"),
            ("x” Nuvera asks you to call “y", "“x' Nuvera asks you to call 'y”"),
            ("Grace\r\n\r\nYour account is closed.\u{2028}Call us", "“Grace    Your account is closed. Call us”"),
            ("help@evil.example", "“help@evil[.]example”"),
        ] {
            assert_eq!(quoted(name), expected);
        }
    }
}
