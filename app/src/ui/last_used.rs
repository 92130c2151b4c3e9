//! Usage of a key.

use super::Time;
use crate::page::Usage;
use leptos::prelude::*;

/// Shows when a key was last used, how often, and by which address and user agent.
#[component]
pub fn LastUsed<'a>(
    /// Usage of the key; `None` if it was never used.
    usage: Option<&'a Usage>,
) -> impl IntoView + use<> {
    let Some(usage) = usage else {
        return view! { <span class="quiet">"Never used"</span> }.into_any();
    };
    view! {
        <p class="last-used">
            <Time at=usage.last_used_at relative=true />
        </p>
        <p class="quiet">{format!("{}, last from {}", requests(usage.count), usage.address)}</p>
        <p class="quiet client">{usage.user_agent.clone()}</p>
    }
    .into_any()
}

/// Formats a number of requests: `12 345 requests`, with narrow no-break spaces as thousands separators.
pub fn requests(count: i64) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push('\u{202F}');
        }
        text.push(digit);
    }
    text + if count == 1 { " request" } else { " requests" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_stand_apart() {
        let spaced = |count| requests(count).replace('\u{202F}', " ");
        assert_eq!(
            [0, 1, 999, 1_000, 12_345, 1_234_567].map(spaced),
            ["0 requests", "1 request", "999 requests", "1 000 requests", "12 345 requests", "1 234 567 requests"]
        );
    }
}
