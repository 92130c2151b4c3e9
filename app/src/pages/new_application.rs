//! Page that creates an API application.

use crate::{
    paths,
    ui::{Actions, Card, Form, PermissionChooser, SigningKeyField, Submit, TextField, Variant},
};
use domain::permission::PermissionSet;
use leptos::prelude::*;

pub(super) fn view(title: String, creation_token: &str, challenge: &str) -> impl IntoView + use<> {
    view! {
        {super::heading(title, "An API key, a signing key and permissions for one of your systems.")}
        <Form action=paths::NEW_APPLICATION>
            <input type="hidden" name="creation_token" value=creation_token />
            <TextField
                name="name"
                label="Application name"
                hint="What your colleagues will recognise at 3 a.m., such as “Ledger, production”. At most 80 characters."
            />
            <Card
                id="signing-key"
                heading="Signing key"
                lead="Your service signs every request with an RSA private key. Nuvera keeps the public half only."
            >
                <SigningKeyField challenge=challenge />
            </Card>
            <Card id="permissions-card" heading="Permissions">
                <PermissionChooser chosen=PermissionSet::default() />
            </Card>
            <div class="form__end">
                <p>
                    "The next page shows the API key, once. Have the place where you will store it at hand."
                </p>
                <Actions>
                    <Submit variant=Variant::Primary text="Create API application" />
                    <a class="button button--plain" href=paths::APPLICATIONS>"Cancel"</a>
                </Actions>
            </div>
        </Form>
    }
}
