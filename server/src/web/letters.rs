//! Telling somebody by mail of what was done to their account, because it may not have been they who did it.

use super::Web;
use crate::{
    backend::{
        sessions::Client,
        team_events::{TeamChange, TeamEvent, TeamMember},
    },
    mail::{Mail, quoted},
};
use app::paths::Area;
use domain::{actor::Actor, id::UserId, people::Person, sign_in::Method};

/// Whose account it is.
pub struct Owner<'a> {
    user: UserId,
    email: &'a str,
    area: Area,
}

impl<'a> Owner<'a> {
    /// Somebody of this area.
    pub fn of(person: &'a Person, area: Area) -> Self {
        Self { user: person.id, email: &person.email, area }
    }
}

impl<'a> From<&'a Actor> for Owner<'a> {
    fn from(actor: &'a Actor) -> Self {
        Self { user: actor.user_id, email: &actor.email, area: Area::of_side(actor.kind()) }
    }
}

/// What was done.
#[derive(Clone, Copy)]
pub enum News<'a> {
    /// Somebody signed in as them with a browser that they never used before.
    NewBrowser(Method),
    /// Their password is another.
    PasswordChanged,
    /// An authenticator app is set up.
    AppSetUp,
    /// It is removed.
    AppRemoved,
    /// They have new recovery codes.
    RecoveryCodesMade,
    /// A passkey is added.
    PasskeyAdded,
    /// One is removed.
    PasskeyRemoved,
    /// This colleague has removed all their second factors.
    FactorReset(&'a str),
}

impl News<'_> {
    fn subject(self) -> &'static str {
        match self {
            Self::NewBrowser(_) => "A new browser signed in to your Nuvera account",
            Self::PasswordChanged => "The password of your Nuvera account was changed",
            Self::AppSetUp => "An authenticator app was set up for your Nuvera account",
            Self::AppRemoved => "The authenticator app of your Nuvera account was removed",
            Self::RecoveryCodesMade => "Your Nuvera account has new recovery codes",
            Self::PasskeyAdded => "A passkey was added to your Nuvera account",
            Self::PasskeyRemoved => "A passkey of your Nuvera account was removed",
            Self::FactorReset(_) => "The second factor of your Nuvera account was removed",
        }
    }

    fn happened(self) -> String {
        let happened = match self {
            Self::NewBrowser(_) => "a browser that you never used here before has signed in as you",
            Self::PasswordChanged => "your password was changed, and all other sessions were ended",
            Self::AppSetUp => "an authenticator app was set up as your second factor, with new recovery codes",
            Self::AppRemoved => "your authenticator app was removed: its codes are good for nothing now",
            Self::RecoveryCodesMade => "new recovery codes were made for you: the ones before are good for nothing now",
            Self::PasskeyAdded => "a passkey was added, with which one can sign in as you",
            Self::PasskeyRemoved => "one of your passkeys was removed",
            Self::FactorReset(by) => {
                return format!("{} removed your second factor, and you were signed out everywhere", quoted(by));
            }
        };
        happened.to_owned()
    }
}

/// Sends them a letter about what `client` did. It goes out on its own: a mail server that is slow or down holds nothing up,
/// and the console says it as well.
pub fn tell(web: &Web, owner: Owner<'_>, news: News<'_>, client: &Client) {
    let at = web.backend.clock().now();
    let Owner { user, email, area } = owner;
    let from = client.address.map(|address| format!(" from {address}")).unwrap_or_default();
    let how = match news {
        News::NewBrowser(method) => format!(", {}", method.label().to_lowercase()),
        _ => String::new(),
    };
    let body = format!(
        "Hello,\n\n{}:\n\n  {}{from}\n  {at}{how}\n\n\
         If you know of this, there is nothing to do. If you do not, end all other sessions and change your password at once:\n\n  \
         {}{}\n\nIf you cannot get in any more, tell somebody who decides on people in your organization.\n",
        news.happened(),
        client.browser,
        web.origin(area),
        area.account(),
    );
    let (mailer, to, subject) = (web.mailer.clone(), email.to_owned(), news.subject());
    tokio::spawn(async move {
        if let Err(error) = mailer.send(Mail { to: &to, subject: subject.to_owned(), body, at }).await {
            tracing::warn!(%user, %error, subject, "somebody could not be told by mail");
        }
    });
}

/// Mails a change that `actor` made to the members of their organization to everyone who manages them, in the background: a
/// mail server or database that is slow or down delays no answer.
pub fn notify_team(web: &Web, actor: &Actor, member: impl Into<TeamMember>, change: TeamChange, client: &Client) {
    let event = TeamEvent {
        actor: Actor { address: client.address, ..actor.clone() },
        browser: Some(client.browser.clone()),
        at: web.backend.clock().now(),
        member: member.into(),
        change,
    };
    let (backend, mailer) = (web.backend.clone(), web.mailer.clone());
    let origin = web.origin(Area::of_side(actor.kind())).to_owned();
    tokio::spawn(async move { backend.notify_team(&event, &mailer, &origin).await });
}
