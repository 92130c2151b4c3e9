//! Emergency stops while the database is down, frozen, locked or out of space.
