//! The second factor: an authenticator app, and recovery codes.

use super::{Backend, BackendError};
use crate::store::second_factors;
use domain::{actor::Actor, second_factor::SecondFactor};

impl Backend {
    /// One's own second factor, where there is one.
    ///
    /// # Errors
    /// The database fails.
    pub async fn second_factor(&self, actor: &Actor) -> Result<Option<SecondFactor>, BackendError> {
        let mut conn = self.store.read().await?;
        Ok(second_factors::find(&mut conn, actor.user_id).await?.map(|stored| stored.factor))
    }
}
