//! A small town: its configuration, its people and what they say, and what happens to them.

use std::sync::OnceLock;

use consentry::config::{Given, Ready, parse};
use serde_json::{Value, json};

pub const ROUTES: usize = 4;
pub const SOURCE: &str = "shop-events";
pub const CONSENTS: &str = "consents";
pub const HOLD: &str = "hold.shop-events";
pub const QUARANTINE: &str = "quarantine";
/// The sink of each route, and its partitions; 0: as many as the source.
pub const SINKS: [(&str, usize); ROUTES] =
    [("analytics", 0), ("letters", 2), ("texts", 1), ("everything", 0)];
/// So many records a batch at most.
pub const BATCH: usize = 12;
/// The largest record that letters take.
pub const LETTER_BYTES: usize = 900;

/// The configuration, in the YAML's shape, for both implementations.
pub fn config() -> &'static Value {
    static CONFIG: OnceLock<Value> = OnceLock::new();
    CONFIG.get_or_init(|| {
        json!({
            "version": 1, "instance": "gate", "workers": 1, "commit_interval": "100ms",
            "kafka": {"brokers": ["simulated:9092"]},
            "consent": {"topic": CONSENTS, "allow_empty": true},
            "limits": {"batch_records": BATCH, "held_bytes": "64KiB"},
            "policy": {
                "purposes": {
                    "analytics": {"description": "Measure how the shop is used"},
                    "newsletter": {"description": "Send the newsletter", "confirmation": "double"},
                },
                "windows": {"sms": {"from": "09:00", "to": "20:00"}},
                "assume_time_zones": ["Europe/Amsterdam"],
            },
            "pipelines": [{
                "name": "shop", "group": "shop",
                "from": {"topics": [SOURCE], "format": "json"},
                "subject": [{"type": "user_id", "path": "/user/id"}],
                "hold": {"topic": "hold"},
                "quarantine": {"topic": QUARANTINE},
                "routes": [
                    {"name": "analytics", "when": "value.type != \"heartbeat\"",
                     "require": {"purposes": {"all": ["analytics"]}},
                     "to": {"kafka": {"topic": SINKS[0].0}}},
                    {"name": "letters", "require": {"purposes": {"all": ["newsletter"]}, "channel": "email", "evaluate": "now"},
                     "hold": ["pending", "unknown"], "hold_for": "6s", "grace": "2s",
                     "to": {"kafka": {"topic": SINKS[1].0}}},
                    {"name": "texts", "require": {"purposes": {"all": ["analytics"]}, "channel": "sms"},
                     "hold": ["contact_window"],
                     "to": {"kafka": {"topic": SINKS[2].0}}},
                    {"name": "everything", "require": "none", "because": "a count of all that happens",
                     "to": {"kafka": {"topic": SINKS[3].0}}},
                ],
            }],
        })
    })
}

/// The configuration as the crate has it.
pub fn ready() -> &'static Ready {
    static READY: OnceLock<Ready> = OnceLock::new();
    READY.get_or_init(|| {
        parse("town.yaml", &config().to_string(), Given::default())
            .unwrap_or_else(|problems| panic!("{problems:?}"))
    })
}
