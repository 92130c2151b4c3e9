//! SQL statements whose conditions depend on the caller's filters.

use sqlx::{AnyConnection, AssertSqlSafe, any::AnyRow};

/// A builder of SQL conditions and the values bound to them.
#[derive(Default)]
pub(super) struct Conditions {
    sql: Vec<String>,
    bound: Vec<Bound>,
}

enum Bound {
    Text(String),
    Number(i64),
}

impl Conditions {
    /// Adds a condition, in which `?` is the placeholder of the value.
    fn and(&mut self, condition: &str, value: Bound) {
        self.bound.push(value);
        self.sql.push(condition.replace('?', &format!("${}", self.bound.len())));
    }

    /// Adds a condition on a text value, if there is one.
    pub(super) fn and_text(&mut self, condition: &str, value: Option<impl ToString>) {
        if let Some(value) = value {
            self.and(condition, Bound::Text(value.to_string()));
        }
    }

    /// Adds a condition on a numeric value.
    pub(super) fn and_number(&mut self, condition: &str, value: i64) {
        self.and(condition, Bound::Number(value));
    }

    /// Fetches the rows that meet every condition. `before` and `after` are the SQL text around the conditions, and
    /// must not contain input of a user.
    pub(super) async fn fetch(self, conn: &mut AnyConnection, before: &str, after: &str) -> sqlx::Result<Vec<AnyRow>> {
        let condition = if self.sql.is_empty() { "1 = 1".to_owned() } else { self.sql.join(" AND ") };
        // Values are bound and never part of the text.
        let sql = AssertSqlSafe(format!("{before} {condition} {after}"));
        let query = self.bound.into_iter().fold(sqlx::query(sql), |query, bound| match bound {
            Bound::Text(text) => query.bind(text),
            Bound::Number(number) => query.bind(number),
        });
        query.fetch_all(conn).await
    }
}
