//! Telling somebody that a browser which they never used before has signed in as them.

use super::Web;
use crate::mail::Mail;
use app::paths::Area;
use domain::{actor::Actor, sign_in::Attempt};

/// Sends them a letter. It goes out on its own: a mail server that is slow or down holds up no sign-in, and the console says
/// it as well.
pub fn tell(web: &Web, actor: &Actor, attempt: &Attempt) {
    let area = Area::of_side(actor.kind());
    let from = attempt.address.map(|address| format!(" from {address}")).unwrap_or_default();
    let body = format!(
        "Hello {},\n\na browser that you never used here before has signed in as you:\n\n  {}{from}\n  {}, {}\n\n\
         If it was you, there is nothing to do. If it was not, end its session and change your password at once:\n\n  \
         {}{}\n",
        actor.name,
        attempt.browser,
        attempt.at,
        attempt.method.label().to_lowercase(),
        web.origin(area),
        area.account(),
    );
    let (mailer, to, user, at) = (web.mailer.clone(), actor.email.clone(), actor.user_id, attempt.at);
    tokio::spawn(async move {
        let subject = "A new browser signed in to your Nuvera account".to_owned();
        if let Err(error) = mailer.send(Mail { to: &to, subject, body, at }).await {
            tracing::warn!(%user, %error, "somebody could not be told of a new browser by mail");
        }
    });
}
