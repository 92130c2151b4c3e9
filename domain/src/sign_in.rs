//! Sessions, and the history of sign-in attempts.

use crate::{
    actor::ActorKind,
    id::{SessionId, UserId},
    time::{DAY, Timestamp},
};
use std::{net::IpAddr, time::Duration};

/// How long sign-in attempts are kept.
pub const HISTORY_LIFETIME: Duration = Duration::from_secs(90 * DAY.as_secs());

/// The time limits of a session.
#[derive(Clone, Copy, Debug)]
pub struct Lifetime {
    /// The session ends when it has not been used for this long.
    pub idle: Duration,
    /// The session ends this long after the sign-in, even if it is in use.
    pub absolute: Duration,
}

/// Returns the limits for sessions on `side`. They are stricter for Nuvera, because its users can affect every partner.
pub fn lifetime(side: ActorKind) -> Lifetime {
    let minutes = |minutes: u64| Duration::from_secs(minutes * 60);
    match side {
        ActorKind::Partner => Lifetime { idle: minutes(30), absolute: minutes(12 * 60) },
        ActorKind::Nuvera => Lifetime { idle: minutes(15), absolute: minutes(4 * 60) },
    }
}

macro_rules! codes {
    ($(#[$doc:meta])* $name:ident: $($(#[$inner:meta])* $variant:ident $code:literal $label:literal,)*) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name {
            $($(#[$inner])* $variant,)*
        }

        impl $name {
            /// Every variant.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// Returns the code under which it is stored.
            pub fn code(self) -> &'static str {
                match self {
                    $(Self::$variant => $code,)*
                }
            }

            /// Returns the display text.
            pub fn label(self) -> &'static str {
                match self {
                    $(Self::$variant => $label,)*
                }
            }

            /// Parses its code.
            pub fn from_code(code: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|one| one.code() == code)
            }
        }
    };
}

codes! {
    /// The method by which a user authenticated.
    Method:
    /// Password alone.
    Password "password" "Password",
    /// Password and second factor.
    PasswordAndCode "password_and_code" "Password and code",
    /// Passkey.
    Passkey "passkey" "Passkey",
    /// The organization's identity provider.
    SingleSignOn "single_sign_on" "Single sign-on",
    /// The link of an invitation.
    Invitation "invitation" "Invitation",
}

codes! {
    /// The outcome of a sign-in attempt.
    Outcome:
    /// The user was signed in.
    Accepted "accepted" "Signed in",
    /// The user was signed in with a browser that they had not used before.
    NewBrowser "new_browser" "Signed in, new browser",
    /// The credentials were wrong.
    Refused "refused" "Refused: wrong password or code",
    /// An identity provider asserted an e-mail address that is not in its domains.
    ForeignAddress "foreign_address" "Refused: a single sign-on provider used an e-mail address outside its domains",
    /// The password was right, but the code was wrong.
    WrongCode "wrong_code" "Refused: right password, wrong code",
    /// The credentials were right, but the user belongs to the other area.
    OtherDoor "other_door" "Refused: at the other area’s sign-in",
}

impl Outcome {
    /// Whether the user was signed in.
    pub fn is_accepted(self) -> bool {
        matches!(self, Self::Accepted | Self::NewBrowser)
    }
}

/// A session of a signed-in user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedIn {
    /// The session's id. It is not a secret and not the value of the session cookie.
    pub id: SessionId,
    /// The signed-in user.
    pub user_id: UserId,
    /// The area of the sign-in. The session is not valid in the other area.
    pub side: ActorKind,
    /// The time of the sign-in.
    pub signed_in_at: Timestamp,
    /// When it was last used.
    pub used_at: Timestamp,
    /// When the user last authenticated. The sign-in counts as well.
    pub proven_at: Timestamp,
    /// The method of the sign-in.
    pub method: Method,
    /// The network address from which it was last used.
    pub address: Option<IpAddr>,
    /// Description of the browser: see [`browser_in_words`].
    pub browser: String,
    /// The user has acknowledged, in this session, sign-ins with new browsers before this instant.
    pub told_until: Timestamp,
}

impl SignedIn {
    /// Whether it has expired at `now`.
    pub fn is_over(&self, now: Timestamp) -> bool {
        let Lifetime { idle, absolute } = lifetime(self.side);
        now.since(self.used_at) >= idle || now.since(self.signed_in_at) >= absolute
    }
}

/// A sign-in attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// The time of the attempt.
    pub at: Timestamp,
    /// Its outcome.
    pub outcome: Outcome,
    /// The method that was used.
    pub method: Method,
    /// The network address from which it was made.
    pub address: Option<IpAddr>,
    /// Description of the browser: see [`browser_in_words`].
    pub browser: String,
    /// The session that it started, if any.
    pub session: Option<SessionId>,
}

/// Tokens by which browsers identify themselves. The first match counts, because many browsers include the tokens of
/// others for compatibility.
const BROWSERS: [(&str, &str); 13] = [
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("Vivaldi/", "Vivaldi"),
    ("Firefox/", "Firefox"),
    ("FxiOS/", "Firefox"),
    ("CriOS/", "Chrome"),
    ("HeadlessChrome/", "Chrome"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
    ("curl/", "curl"),
    ("python", "Python"),
    ("node", "Node.js"),
];

const SYSTEMS: [(&str, &str); 8] = [
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("Windows", "Windows"),
    ("CrOS", "ChromeOS"),
    ("Macintosh", "macOS"),
    ("Linux", "Linux"),
    ("BSD", "BSD"),
];

/// Describes a browser, such as `Firefox on Windows`. The result consists only of the words listed here, so that
/// nothing of an untrusted user agent reaches a page, a file or the log.
pub fn browser_in_words(user_agent: &str) -> String {
    let find = |table: &[(&str, &'static str)]| {
        table.iter().find(|(token, _)| user_agent.contains(token)).map(|&(_, words)| words)
    };
    match (find(&BROWSERS), find(&SYSTEMS)) {
        (Some(browser), Some(system)) => format!("{browser} on {system}"),
        (Some(browser), None) => browser.to_owned(),
        (None, Some(system)) => format!("Unknown browser on {system}"),
        (None, None) => "Unknown browser".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn browsers_are_known_by_what_they_call_themselves() {
        for (agent, words) in [
            ("Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0", "Firefox on Windows"),
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36 Edg/140.0.0.0",
                "Edge on Windows",
            ),
            (
                "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36",
                "Chrome on Linux",
            ),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Mobile/15E148 Safari/604.1",
                "Safari on iPhone",
            ),
            (
                "Mozilla/5.0 (Linux; Android 15) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Mobile Safari/537.36",
                "Chrome on Android",
            ),
            ("curl/8.5.0", "curl"),
            ("", "Unknown browser"),
        ] {
            assert_eq!(browser_in_words(agent), words);
        }
    }

    #[test]
    fn nothing_that_a_stranger_calls_itself_gets_into_the_words() {
        for agent in ["<script>alert(1)</script>", "=cmd|'/C calc'!A0", "x\r\nFATAL forged", "Firefox/1\u{202e}<b>"] {
            let words = browser_in_words(agent);
            assert!(["Unknown browser", "Firefox"].contains(&&*words), "{words}");
        }
    }

    #[test]
    fn a_session_ends_when_idle_and_at_the_latest_after_its_time() {
        let at = Timestamp::from_millis(1_795_404_310_000);
        for side in [ActorKind::Partner, ActorKind::Nuvera] {
            let Lifetime { idle, absolute } = lifetime(side);
            let session = SignedIn {
                id: SessionId(uuid::Uuid::nil()),
                user_id: UserId(uuid::Uuid::nil()),
                side,
                signed_in_at: at,
                used_at: at,
                proven_at: at,
                method: Method::Password,
                address: None,
                browser: String::new(),
                told_until: at,
            };
            let short = Duration::from_millis(1);
            assert!(!session.is_over(at.plus(idle - short)) && session.is_over(at.plus(idle)));
            let used = SignedIn { used_at: at.plus(absolute - short), ..session };
            assert!(!used.is_over(at.plus(absolute - short)) && used.is_over(at.plus(absolute)));
        }
        assert!(lifetime(ActorKind::Nuvera).idle < lifetime(ActorKind::Partner).idle);
    }

    #[test]
    fn codes_are_read_back() {
        assert!(Method::ALL.iter().all(|&method| Method::from_code(method.code()) == Some(method)));
        assert!(Outcome::ALL.iter().all(|&outcome| Outcome::from_code(outcome.code()) == Some(outcome)));
    }
}
