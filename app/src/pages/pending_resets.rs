//! Pending resets of the password or second factor of a Nuvera member: notices on the members page and on the member's
//! account page, and the page on which a second admin confirms one.

use super::people::back;
use crate::{
    paths::Place,
    ui::{Actions, ButtonLink, Callout, Consequences, Form, Submit, Time, Variant, place, surroundings},
};
use domain::{
    id::UserId,
    pending_reset::{PendingReset, ResetKind},
};
use leptos::prelude::*;

/// Notice of a pending reset on the members page, for admins.
pub(super) fn for_admin(reset: &PendingReset, you: UserId) -> impl IntoView + use<> {
    let PendingReset { id, name, requested_by_name, kind, .. } = reset;
    let action = |action: &str| place().people_action(format!("resets/{id}/{action}"));
    let heading = format!("{requested_by_name} requested a reset of {name}’s {}", kind.label());
    let about = format!("the reset of {name}’s {}", kind.label());
    let confirm = (![reset.requested_by, reset.user_id].contains(&you))
        .then(|| view! { <ButtonLink href=action("confirm") text="Confirm" about=about.clone() /> });
    view! {
        <Callout heading danger=true>
            <p>
                "It takes effect at " <Time at=reset.effective_at />
                ", unless it is cancelled. A second admin can confirm it, so that it takes effect at once."
            </p>
            <div class="actions actions--small">
                {confirm}
                <Form action=action("cancel") inline=true>
                    <Submit text="Cancel reset" about=about />
                </Form>
            </div>
        </Callout>
    }
}

/// Notice of a pending reset on the account page of the affected member.
pub(super) fn for_member(reset: &PendingReset) -> impl IntoView + use<> {
    let what = reset.kind.label();
    let action = surroundings().area().account_action(&format!("resets/{}/cancel", reset.id));
    view! {
        <Callout heading=format!("{} requested a reset of your {what}", reset.requested_by_name) danger=true>
            <p>
                "It takes effect at " <Time at=reset.effective_at />
                ", unless it is cancelled. If you did not ask for it, cancel it and ask why it was requested."
            </p>
            <div class="actions actions--small">
                <Form action inline=true>
                    <Submit text="Cancel reset" about=format!("of your {what}") />
                </Form>
            </div>
        </Callout>
    }
}

pub(super) fn confirm(title: String, reset: &PendingReset) -> impl IntoView + use<> {
    let (name, by) = (&reset.name, &reset.requested_by_name);
    let effect = match reset.kind {
        ResetKind::Password => format!(
            "A link to choose a new password will be mailed to {} at once. It works once, within 24 hours.",
            reset.email
        ),
        ResetKind::SecondFactor => format!(
            "{name}’s second factors and recovery codes will be removed and their sessions ended at once. They will set up another one at their next sign-in."
        ),
    };
    view! {
        {super::heading(title, &format!("{by} requested a reset of {name}’s {}.", reset.kind.label()))}
        <Consequences heading=format!("Make sure that {name} asked for it") danger=true>
            <ul>
                <li>"Talk to them in person, or call them at a number that you knew before."</li>
                <li>{effect}</li>
            </ul>
        </Consequences>
        <Form action=Place::Nuvera.people_action(format!("resets/{}/confirm", reset.id))>
            <Actions>
                <Submit variant=Variant::Danger text="Confirm reset" />
                {back()}
            </Actions>
        </Form>
    }
}
