//! E-mail that notifies users of changes to their account, because someone else may have made them.

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

/// The user whose account was changed.
pub struct Owner<'a> {
    user: UserId,
    email: &'a str,
    area: Area,
}

impl<'a> Owner<'a> {
    /// Creates it for a user of this area.
    pub fn of(person: &'a Person, area: Area) -> Self {
        Self { user: person.id, email: &person.email, area }
    }
}

impl<'a> From<&'a Actor> for Owner<'a> {
    fn from(actor: &'a Actor) -> Self {
        Self { user: actor.user_id, email: &actor.email, area: Area::of_side(actor.kind()) }
    }
}

/// The event of which the user is notified.
#[derive(Clone, Copy)]
pub enum News<'a> {
    /// A sign-in from a browser that the user has never used before.
    NewBrowser(Method),
    /// The correct password followed by a wrong code, from a browser that the user has not signed in from.
    WrongCodes,
    /// The password was changed.
    PasswordChanged,
    /// An authenticator app was set up.
    AppSetUp,
    /// The authenticator app was removed.
    AppRemoved,
    /// New recovery codes were generated.
    RecoveryCodesMade,
    /// A passkey was added.
    PasskeyAdded,
    /// A passkey was removed.
    PasskeyRemoved,
    /// The member with this name removed all second factors of the user.
    FactorReset(&'a str),
}

impl News<'_> {
    fn subject(self) -> &'static str {
        match self {
            Self::NewBrowser(_) => "A new browser signed in to your Nuvera account",
            Self::WrongCodes => "Your password was entered with a wrong code",
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
            Self::WrongCodes => {
                "your password was entered in a browser that you never used here before, and then a wrong code: the sign-in was \
                 refused"
            }
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

/// What the user should do if someone else did it. Following it must leave an attacker without any access;
/// `tests/console/remedies` follows it step by step.
fn advice(news: News<'_>, origin: &str, area: Area) -> String {
    if let News::NewBrowser(Method::SingleSignOn) = news {
        return format!(
            "If you did not do this, someone else can sign in as you at your identity provider. Secure your account there \
             first: change its password and remove the sign-in methods that you do not recognize. Then end all other sessions \
             here:\n\n  {origin}{}\n\nIf you cannot, ask an administrator of your identity provider for help.\n",
            area.account(),
        );
    }
    let danger = match news {
        News::WrongCodes => "someone else knows your password",
        _ => "someone else can act as you",
    };
    let help = match area {
        Area::Partner => {
            "ask an owner of your organization to reset your password. If no owner can help, contact Nuvera support"
        }
        Area::Hub => {
            "ask another Nuvera admin to reset your password, and a second one to confirm it, so that it takes effect at \
             once. If there is none, ask the operator of this server to recover your account"
        }
    };
    format!(
        "If you did not do this, {danger}. Change your password at once:\n\n  {origin}{}\n\n\
         The page lists your second factors. Select those that you do not recognize, and the recovery codes; recent ones are \
         selected already. They are removed or replaced together with the old password. All other sessions end, and all other browsers are no longer \
         known.\n\n\
         If you cannot sign in, or are asked for a code or a passkey that you do not have, {help}. Choosing a new password by \
         the link that you then get by mail removes all second factors, recovery codes, sessions and known browsers.\n",
        area.account_action("password"),
    )
}

/// Sends the user an e-mail about what `client` did, in the background: a mail server that is slow or down delays
/// nothing, and the console shows the event as well.
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
         If you did this, there is nothing to do. {}",
        news.happened(),
        client.browser,
        advice(news, web.origin(area), area),
    );
    let (mailer, to, subject) = (web.mailer.clone(), email.to_owned(), news.subject());
    tokio::spawn(async move {
        if let Err(error) = mailer.send(Mail { to: &to, subject: subject.to_owned(), body, at }).await {
            tracing::warn!(%user, %error, subject, "somebody could not be told by mail");
        }
    });
}

/// Mails a change that `actor` made to the members of their organization to everyone who manages them, in the
/// background: a mail server or database that is slow or down delays no response.
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

#[cfg(test)]
mod tests {
    use super::*;

    const ORIGIN: &str = "https://console.example";

    #[test]
    fn who_has_no_password_is_not_sent_to_change_it() {
        let by_provider = advice(News::NewBrowser(Method::SingleSignOn), ORIGIN, Area::Partner);
        assert!(
            by_provider.contains("at your identity provider") && !by_provider.contains("/password"),
            "{by_provider}"
        );
        let by_password = advice(News::NewBrowser(Method::Password), ORIGIN, Area::Partner);
        assert!(by_password.contains("https://console.example/settings/account/password"), "{by_password}");
    }

    #[test]
    fn help_is_that_of_the_area() {
        let partner = advice(News::PasswordChanged, ORIGIN, Area::Partner);
        assert!(partner.contains("ask an owner of your organization"), "{partner}");
        let hub = advice(News::PasswordChanged, ORIGIN, Area::Hub);
        assert!(hub.contains("ask another Nuvera admin") && hub.contains("a second one to confirm it"), "{hub}");
        assert!(hub.contains("https://console.example/organizations/account/password"), "{hub}");
    }
}
