//! Page that changes an application's permissions.

use super::proposed_change;
use crate::ui::{Actions, Form, PermissionChooser, ReasonField, Submit, Variant, place};
use domain::application::ApiApplication;
use leptos::prelude::*;

pub(super) fn view(title: String, application: &ApiApplication, waits: bool) -> impl IntoView + use<> {
    let lead = if waits {
        ""
    } else {
        "The gateway applies the change at once. A request that needs a permission you take away is refused from then on."
    };
    view! {
        {super::heading(title, lead)}
        {proposed_change::notice(waits)}
        <Form action=place().action(application.id, "permissions") version=application.version>
            <PermissionChooser chosen=application.permissions />
            <ReasonField optional=true />
            <Actions>
                <Submit variant=Variant::Primary text=proposed_change::verb(waits, "Change permissions") />
                {super::cancel(application)}
            </Actions>
        </Form>
    }
}
