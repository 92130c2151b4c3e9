//! Page that renames an application.

use crate::ui::{Actions, Form, Submit, TextField, Variant, place};
use domain::application::ApiApplication;
use leptos::prelude::*;

pub(super) fn view(title: String, application: &ApiApplication) -> impl IntoView + use<> {
    view! {
        {super::heading(title, "Only the name changes: keys, permissions and requests stay as they are.")}
        <Form action=place().action(application.id, "rename") version=application.version>
            <TextField
                name="name"
                label="Application name"
                hint="At most 80 characters; unique in your organization."
                value=application.name.to_string()
                autofocus=true
            />
            <Actions>
                <Submit variant=Variant::Primary text="Rename application" />
                {super::cancel(application)}
            </Actions>
        </Form>
    }
}
