//! Change an application's permissions.

use crate::{
    paths,
    ui::{Actions, Form, PermissionChooser, Submit, Variant},
};
use domain::application::ApiApplication;
use leptos::prelude::*;

pub(super) fn view(title: String, application: &ApiApplication) -> impl IntoView + use<> {
    view! {
        {super::heading(
            title,
            "The gateway applies the change at once. A request that needs a permission you take away is refused from then on.",
        )}
        <Form action=paths::application_action(application.id, "permissions") version=application.version>
            <PermissionChooser chosen=application.permissions />
            <Actions>
                <Submit variant=Variant::Primary text="Change permissions" />
                {super::cancel(application)}
            </Actions>
        </Form>
    }
}
