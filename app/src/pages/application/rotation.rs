//! A rotation under way, as a path: store, deploy and verify, revoke. Each step says how far things are.

use crate::{
    page::{ApplicationView, Usage},
    ui::{ButtonLink, Card, Code, Step, Steps, Time, Variant, place, requests},
};
use domain::{
    api_key::{ApiKey, ApiKeyStatus},
    application::ApiApplication,
    time::Timestamp,
};
use leptos::prelude::*;

/// The path, where a new key is active and an old one has not stopped yet.
pub(super) fn view(view: &ApplicationView, now: Timestamp) -> Option<impl IntoView + use<>> {
    let application = &view.application;
    let new = application.api_keys.iter().find(|key| key.status(now) == ApiKeyStatus::Active)?;
    let old: Vec<_> = application
        .live_keys(now)
        .filter(|key| matches!(key.status(now), ApiKeyStatus::Expiring { .. }))
        .filter(|key| key.created_at <= new.created_at)
        .collect();
    if old.is_empty() {
        return None;
    }
    let new_usage = view.api_key_usage.get(&new.id);
    let revoke = old.into_iter().map(|old| {
        let progress = progress(view.api_key_usage.get(&old.id), new_usage);
        old_key(application, old, view.api_key_usage.get(&old.id), progress)
    });
    let verified = new_usage.is_some();
    Some(view! {
        <Card id="rotation" heading="Rotation under way" lead=format!("{} replaces what was before it.", new.shown())>
            <Steps>
                <Step heading="Store the new key" done=new.stored_at.is_some() || verified>
                    {match new.stored_at {
                        Some(at) => view! { <p>"Confirmed on " <Time at /> "."</p> }.into_any(),
                        None if verified => view! { <p>"It is in use."</p> }.into_any(),
                        None => view! { <p>"Nobody has confirmed it yet."</p> }.into_any(),
                    }}
                </Step>
                <Step heading="Deploy it, and verify" done=verified>
                    {verification(new_usage)}
                </Step>
                <Step heading="Revoke the old key once nothing uses it">
                    <ul class="fates">{revoke.collect_view()}</ul>
                </Step>
            </Steps>
        </Card>
    })
}

fn verification(usage: Option<&Usage>) -> AnyView {
    match usage {
        Some(usage) => {
            let count = requests(usage.count);
            view! { <p>{format!("{count} with the new key, the last ")} <Time at=usage.last_used_at relative=true /></p> }
                .into_any()
        }
        None => view! { <p>"Waiting for the first request with the new key. Reload to look again."</p> }.into_any(),
    }
}

/// What the use of the old key says about revoking it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    /// The new key has not been used: revoking would stop the service.
    NotVerified,
    /// The old key was used after the new one took over.
    StillUsed,
    /// It was not.
    Silent,
}

fn progress(old: Option<&Usage>, new: Option<&Usage>) -> Progress {
    match (old, new) {
        (_, None) => Progress::NotVerified,
        (Some(old), Some(new)) if old.last_used_at >= new.first_used_at => Progress::StillUsed,
        _ => Progress::Silent,
    }
}

fn old_key(
    application: &ApiApplication,
    key: &ApiKey,
    usage: Option<&Usage>,
    progress: Progress,
) -> impl IntoView + use<> {
    let last = usage.map(|usage| {
        view! { <p>{format!("Last used from {}, ", usage.address)} <Time at=usage.last_used_at relative=true /></p> }
    });
    let words = match progress {
        Progress::NotVerified => "Keep it until the new key is verified.",
        Progress::StillUsed => "Still in use since the new key took over: something has not been deployed.",
        Progress::Silent => "Not used since the new key took over. You can revoke it.",
    };
    let revoke = (progress == Progress::Silent).then(|| {
        let href = place().api_key_action(application.id, key.id, "revoke");
        view! { <ButtonLink href text="Revoke" about=key.shown() variant=Variant::DangerQuiet /> }
    });
    let stops = match key.state {
        domain::api_key::ApiKeyState::Expiring { at, .. } => Some(view! { <p>"Stops by itself at " <Time at /></p> }),
        _ => None,
    };
    view! {
        <li>
            <div class="fates__text">
                <p><Code text=key.shown() /> " " <strong>{words}</strong></p>
                {last} {stops}
            </div>
            {revoke}
        </li>
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage(first: i64, last: i64) -> Usage {
        Usage {
            first_used_at: Timestamp::from_millis(first),
            last_used_at: Timestamp::from_millis(last),
            address: "192.0.2.1".to_owned(),
            user_agent: "curl/8".to_owned(),
            count: 1,
        }
    }

    #[test]
    fn revoking_is_recommended_only_when_the_old_key_is_silent() {
        assert_eq!(progress(Some(&usage(1, 9)), None), Progress::NotVerified);
        assert_eq!(progress(Some(&usage(1, 9)), Some(&usage(5, 8))), Progress::StillUsed);
        assert_eq!(progress(Some(&usage(1, 4)), Some(&usage(5, 8))), Progress::Silent);
        assert_eq!(progress(None, Some(&usage(5, 8))), Progress::Silent);
    }
}
